//! What the answers of tools say beside the skill asked for: names of other skills, versions, categories and tags.

use serde_json::{Value, json};

use super::{TwoTenants, key_for_one_skill, seen, two};
use crate::harness::Client;
use crate::methods::store;

const TAGGED: &str = "---\nname: hidden-zither\ndescription: Tunes zithers.\nmetadata:\n  category: secret-strings\n  \
                      tags: zithers\n---\n\nTune it.\n";

/// The other tenant's user owns every skill of the tenant; the skill that the key may view is a deprecated fork of another.
async fn own_all(two: &TwoTenants) {
    store(
        &two.db,
        two.other_tenant,
        "hidden-zither",
        &[("SKILL.md", TAGGED.as_bytes())],
    )
    .await;
    let (tenant, user) = (two.other_tenant, two.their_user);
    let sql = format!(
        "UPDATE skills SET owner_id = '{user}' WHERE tenant_id = '{tenant}';
         UPDATE skills SET origin_skill_id = o.id, origin_version = '1', origin_digest = v.digest, deprecated_at = now(),
             deprecation_note = 'Old.', successor_id = o.id
         FROM skills o JOIN skill_versions v ON v.tenant_id = o.tenant_id AND v.skill_id = o.id AND v.version = '1'
         WHERE skills.tenant_id = '{tenant}' AND skills.slug = 'only-theirs' AND o.tenant_id = '{tenant}' AND o.slug = 'shared'"
    );
    two.db.superuser().await.batch_execute(&sql).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn key_limited_to_skills_learns_no_names_of_others() {
    let two = two().await;
    own_all(&two).await;
    let service = two.db.service();
    let limited = Client::connect(&service, &key_for_one_skill(&two).await).await;
    let full = Client::connect(&service, &two.their_key).await;
    let names = ["shared", "hidden-zither", "zithers", "secret-strings"];
    let answers: [(&str, Value, &str); 5] = [
        ("search_skills", json!({}), "zithers 1"),
        (
            "search_skills",
            json!({"query": "nothing like it"}),
            "secret-strings 1",
        ),
        ("search_skills", json!({"mine": true}), "shared"),
        (
            "recommend_skills",
            json!({"text": "hidden zither", "installed": ["only-theirs"]}),
            "hidden-zither",
        ),
        ("get_skill", json!({"skill": "only-theirs"}), "shared"),
    ];
    for (tool, arguments, said) in answers {
        let all = full.ok(tool, arguments.clone()).await.to_string();
        assert!(all.contains(said), "{tool} {arguments}: {all}");
        let few = limited.ok(tool, arguments.clone()).await.to_string();
        assert!(
            !names.iter().any(|name| few.contains(name)),
            "{tool} {arguments}: {few}"
        );
    }
    for (arguments, said) in [
        (json!({"skill": "hidden-zithers"}), "Similar: hidden-zither."),
        (json!({"skill": "shared", "version": "9"}), "Versions: 2, 1."),
    ] {
        let all = full.error("get_skill", arguments.clone()).await;
        assert!(all.contains(said), "{arguments}: {all}");
        let few = limited.error("get_skill", arguments.clone()).await;
        assert!(
            few.contains("There is no skill") && !few.contains(':'),
            "{arguments}: {few}"
        );
    }
}

/// Regression: a change that failed for another reason than a missing skill said so of a skill that the key may not view.
#[tokio::test(flavor = "multi_thread")]
async fn key_limited_to_skills_changes_no_others() {
    let two = two().await;
    own_all(&two).await;
    let client = Client::connect(&two.db.service(), &key_for_one_skill(&two).await).await;
    for (tool, more) in [
        ("rate_skill", json!({"stars": 5})),
        ("yank_skill", json!({"version": "9", "reason": "old"})),
        ("yank_skill", json!({"version": "1", "undo": true})),
        (
            "review_skill",
            json!({"verdict": "approve", "decided_by": "person"}),
        ),
        ("fork_skill", json!({"new_name": "only-theirs"})),
        ("update_skill", json!({"action": "submit"})),
        ("update_skill", json!({"action": "archive"})),
        ("update_skill", json!({"action": "rename", "to": "only-theirs"})),
    ] {
        let ask = |skill: &str| {
            let mut arguments = more.clone();
            arguments["skill"] = json!(skill);
            arguments
        };
        let hidden = seen(client.call(tool, ask("shared")).await, "shared");
        let absent = seen(client.call(tool, ask("absent")).await, "absent");
        assert_eq!(hidden, absent, "{tool} {more}");
    }
}
