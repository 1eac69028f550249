//! Who may do what: the table of the documents is the `match` of the code, and the tools follow it.

use serde_json::json;
use skillkeep::registry::lifecycle::{Action, Relation, permits};
use skillkeep::registry::settings::SettingKey;

use super::{Team, files, publish};

#[test]
fn table_of_the_documents_equals_the_code() {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/lifecycle.md"));
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .map(|line| line.trim_matches('|').split('|').map(str::trim).collect())
        .collect();
    for action in Action::ALL {
        let row = rows
            .iter()
            .find(|row| row.first() == Some(&action.as_str()))
            .unwrap_or_else(|| panic!("docs/lifecycle.md has no row \"{}\"", action.as_str()));
        for (relation, cell) in Relation::ALL.into_iter().zip(&row[1..]) {
            assert_eq!(
                *cell == "yes",
                permits(relation, action),
                "{} {relation:?}",
                action.as_str()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_users_cannot_change_a_skill() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", Some("1.0"), "One.").await;
    for (tool, arguments) in [
        (
            "yank_skill",
            json!({"skill": "sort-tides", "all": true, "reason": "x"}),
        ),
        (
            "update_skill",
            json!({"skill": "sort-tides", "action": "archive"}),
        ),
        (
            "update_skill",
            json!({"skill": "sort-tides", "action": "deprecate"}),
        ),
        (
            "update_skill",
            json!({"skill": "sort-tides", "action": "rename", "to": "stolen"}),
        ),
        (
            "update_skill",
            json!({"skill": "sort-tides", "action": "transfer", "to": "other@example.com"}),
        ),
        ("update_skill", json!({"skill": "sort-tides", "action": "submit"})),
    ] {
        let refused = team.other.error(tool, arguments.clone()).await;
        assert!(refused.contains("You may not do this"), "{arguments}: {refused}");
        // The same words for a skill that does not exist, as for any reader.
        let mut missing = arguments.clone();
        missing["skill"] = json!("nothing");
        let refused = team.other.error(tool, missing).await;
        assert!(refused.contains("There is no skill \"nothing\""), "{refused}");
    }
    let skill = team.other.ok("get_skill", json!({"skill": "sort-tides"})).await;
    assert_eq!(skill["version"], "1.0");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_listed_users_publish_where_the_tenant_lists_them() {
    let team = Team::new().await;
    team.set(SettingKey::PublishUsers, "author@example.com").await;
    publish(&team.author, "sort-tides", None, "One.").await;
    let refused = team
        .other
        .error("publish_skill", json!({"files": files("mine", None, "x")}))
        .await;
    assert!(refused.contains("lets only certain users publish"), "{refused}");
    let draft = json!({"files": files("later", None, "x"), "draft": true});
    team.author.ok("publish_skill", draft).await;
    team.set(SettingKey::PublishUsers, "nobody").await;
    let submit = json!({"skill": "later", "action": "submit"});
    let refused = team.author.error("update_skill", submit).await;
    assert!(refused.contains("You may not do this"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn draft_of_another_user_is_like_a_missing_skill_to_every_change() {
    let team = Team::new().await;
    let draft = json!({"files": files("sort-tides", None, "One."), "draft": true});
    team.author.ok("publish_skill", draft).await;
    for (tool, extra) in [
        ("yank_skill", json!({"all": true, "reason": "x"})),
        ("rate_skill", json!({"stars": 1})),
        ("update_skill", json!({"action": "archive"})),
        ("update_skill", json!({"action": "submit"})),
        ("fork_skill", json!({"new_name": "mine"})),
    ] {
        let ask = |skill: &str| {
            let mut arguments = extra.clone();
            arguments["skill"] = json!(skill);
            arguments
        };
        let hidden = team.other.error(tool, ask("sort-tides")).await;
        let missing = team.other.error(tool, ask("no-skill")).await;
        assert_eq!(
            hidden,
            missing.replace("no-skill", "sort-tides"),
            "{tool} {extra}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn author_cannot_review_a_version_of_a_skill_that_they_gave_away() {
    let team = Team::new().await;
    team.set(SettingKey::ReviewPolicy, "required").await;
    publish(&team.reviewer, "sort-tides", None, "One.").await;
    team.reviewer
        .ok(
            "update_skill",
            json!({"skill": "sort-tides", "action": "transfer", "to": "other@example.com"}),
        )
        .await;
    let approve = json!({"skill": "sort-tides", "verdict": "approve", "decided_by": "person"});
    let refused = team.reviewer.error("review_skill", approve).await;
    assert!(
        refused.contains("You are the author of this version"),
        "{refused}"
    );
}
