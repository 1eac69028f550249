//! Another tenant's skills, and those that a key may not see, are not there: the same words, the same code, in no list.

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::{ApiKey, Scope};

use super::client::{Speaker, WAYS, Way};
use super::{LISTS, Limited, all, pages, reads, store, uri};
use crate::harness::TestDb;

/// My tenant with a key that sees two of its three skills, and another tenant.
struct Scene {
    db: TestDb,
    mine: TenantId,
    narrow: ApiKey,
    full: ApiKey,
}

const HIDDEN: &str = "concealed";
const VICTIM_ONLY: &str = "theirs";

async fn scene() -> Scene {
    let db = TestDb::new().await;
    let (mine, theirs) = (db.tenant("acme").await, db.tenant("other").await);
    let skill = |name: &str, tag: &str, word: &str| {
        format!("---\nname: {name}\ndescription: About {word}.\nmetadata:\n  tags: {tag}\n---\n\n{word}\n")
    };
    let own = skill("shared", "red", "apples");
    store(&db, mine, "shared", &[("SKILL.md", own.as_bytes())]).await;
    let second = skill("visible", "green", "pears");
    store(&db, mine, "visible", &[("SKILL.md", second.as_bytes())]).await;
    let hidden = skill(HIDDEN, "concealed-tag", "concealed");
    let files: [(&str, &[u8]); 2] = [("SKILL.md", hidden.as_bytes()), ("concealed.txt", b"concealed")];
    store(&db, mine, HIDDEN, &files).await;
    for (name, text) in [
        ("shared", "theirs, once"),
        ("shared", "theirs, twice"),
        (VICTIM_ONLY, "theirs"),
    ] {
        let skill_md = skill(name, "theirs-tag", text);
        let files: [(&str, &[u8]); 2] = [("SKILL.md", skill_md.as_bytes()), ("theirs.txt", b"theirs")];
        store(&db, theirs, name, &files).await;
    }
    // Their index is warm, should anything be shared.
    let their_key = db.full_key(theirs).await;
    let limits = Limited {
        scopes: &Scope::ALL,
        only_skills: Some(&["shared", "visible", VICTIM_ONLY]),
        only_tools: None,
    };
    let narrow = limits.key(&db, mine).await;
    let full = db.full_key(mine).await;
    let mut them = Speaker::connect(&db.service(), &their_key, Way::Memory).await;
    assert_eq!(all(&mut them, LISTS[0]).await.len(), 2);
    Scene {
        db,
        mine,
        narrow,
        full,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_answer_for_what_i_may_not_see_is_word_for_word_that_for_nothing() {
    let scene = scene().await;
    let service = scene.db.service();
    for way in WAYS {
        let mut me = Speaker::connect(&service, &scene.narrow, way).await;
        // What there is, in another tenant or out of this key's sight; beside it what is nowhere.
        for ((slug, version), (no_slug, no_version)) in [
            ((VICTIM_ONLY, "1"), ("nobody", "1")),
            ((HIDDEN, "1"), ("nowherex1", "1")),
            (("shared", "2"), ("shared", "9")),
        ] {
            let pairs = reads(slug, version).into_iter().zip(reads(no_slug, no_version));
            for ((method, params), (_, nothing)) in pairs {
                let there = me.error(method, params.clone()).await.to_string();
                let nowhere = me.error(method, nothing.clone()).await.to_string();
                let named = |error: String, slug: &str, version: &str| {
                    error
                        .replace(&format!("{slug}/{version}/{slug}"), "URI")
                        .replace(&format!("\"{slug}\\\""), "SLUG")
                        .replace(&format!("\\\"{slug}\\\""), "SLUG")
                        .replace(&format!("\\\"{version}\\\""), "VERSION")
                };
                assert_eq!(
                    named(there, slug, version),
                    named(nowhere, no_slug, no_version),
                    "{way:?} {method} {params}"
                );
            }
        }
        // A file that only their skill of this name has.
        let there = json!({"uri": uri("shared", "1", "theirs.txt")});
        let nowhere = json!({"uri": uri("shared", "1", "nobody.txt")});
        let there = me.error("resources/read", there).await.to_string();
        let nowhere = me.error("resources/read", nowhere).await.to_string();
        assert_eq!(there.replace("theirs.txt", "nobody.txt"), nowhere, "{way:?}");
        // Without a version it is my own that I get.
        let mine = me.ok("prompts/get", json!({"name": "shared"})).await.to_string();
        assert!(
            mine.contains("apples") && !mine.contains("theirs"),
            "{way:?}: {mine}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_read_is_recorded_without_the_skill_that_was_not_found() {
    let scene = scene().await;
    let mut me = Speaker::connect(&scene.db.service(), &scene.narrow, Way::Memory).await;
    for (slug, version) in [(VICTIM_ONLY, "1"), (HIDDEN, "1"), ("shared", "2")] {
        for (method, params) in reads(slug, version) {
            me.error(method, params).await;
        }
    }
    let told: Vec<String> = scene
        .db
        .value(
            "SELECT array_agg(DISTINCT concat_ws(' ', t.slug, e.outcome, e.skill_id, e.version_id, e.digest, e.result_bytes))
             FROM usage_events e JOIN tenants t ON t.id = e.tenant_id",
        )
        .await;
    assert_eq!(told, ["acme invalid_arguments 0", "acme tool_error 0"]);
    assert_eq!(scene.db.events(scene.mine).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_list_shows_what_i_may_not_see() {
    let scene = scene().await;
    let service = scene.db.service();
    for way in WAYS {
        let mut me = Speaker::connect(&service, &scene.narrow, way).await;
        for list in LISTS {
            let whole = me.ok(list.0, json!({})).await;
            let text = whole.to_string();
            assert!(text.contains("shared") && text.contains("visible"), "{text}");
            assert!(!text.contains("theirs") && !text.contains("concealed"), "{text}");
        }
        let mut full = Speaker::connect(&service, &scene.full, way).await;
        for list in LISTS {
            let text = full.ok(list.0, json!({})).await.to_string();
            assert!(text.contains("concealed") && !text.contains("theirs"), "{text}");
        }
    }
}

fn completion(reference: &Value, argument: &str, context: &Value) -> Value {
    json!({"ref": reference, "argument": {"name": argument, "value": ""}, "context": {"arguments": context}})
}

#[tokio::test(flavor = "multi_thread")]
async fn no_completion_offers_what_i_may_not_see() {
    let scene = scene().await;
    let service = scene.db.service();
    let template = json!({"type": "ref/resource", "uri": "skill://{skill}/{version}/{name}/{+path}"});
    let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
    for way in WAYS {
        let mut me = Speaker::connect(&service, &scene.narrow, way).await;
        let values = async |me: &mut Speaker, reference: &Value, argument: &str, context: Value| {
            let params = completion(reference, argument, &context);
            me.ok("completion/complete", params).await["completion"].clone()
        };
        let skills = values(&mut me, &template, "skill", json!({})).await;
        assert_eq!(skills["values"], json!(["shared", "visible"]), "{way:?}");
        let tags = values(&mut me, &prompt("search_first"), "tag", json!({})).await;
        assert_eq!(tags["values"], json!(["green", "red"]), "{way:?}");
        let versions = values(&mut me, &prompt("shared"), "version", json!({})).await;
        assert_eq!(versions["values"], json!(["1"]), "{way:?}");
        let paths = values(&mut me, &template, "path", json!({"skill": "shared"})).await;
        assert_eq!(paths["values"], json!(["SKILL.md"]), "{way:?}");
        for argument in ["version", "name", "path"] {
            let nothing = values(&mut me, &template, argument, json!({"skill": "nobody"})).await;
            assert_eq!(nothing["values"], json!([]));
            for slug in [HIDDEN, VICTIM_ONLY] {
                let offered = values(&mut me, &template, argument, json!({"skill": slug})).await;
                assert_eq!(offered, nothing, "{way:?} {argument} {slug}");
            }
        }
        for slug in [HIDDEN, VICTIM_ONLY] {
            let nothing = values(&mut me, &prompt("nobody"), "version", json!({})).await;
            let offered = values(&mut me, &prompt(slug), "version", json!({})).await;
            assert_eq!(offered, nothing, "{way:?} {slug}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wider_keys_cursor_leads_to_nothing_that_a_narrow_key_may_not_see() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    for number in 0..120 {
        db.skill(tenant, &format!("skill-{number:03}"), "One of many.", &[])
            .await;
    }
    let limits = Limited {
        scopes: &[Scope::SkillsRead],
        only_skills: Some(&["skill-001", "skill-119"]),
        only_tools: None,
    };
    let (service, narrow, full) = (
        db.service(),
        limits.key(&db, tenant).await,
        db.full_key(tenant).await,
    );
    for way in WAYS {
        let mut wide = Speaker::connect(&service, &full, way).await;
        let mut me = Speaker::connect(&service, &narrow, way).await;
        for list in LISTS {
            let cursor = wide.ok(list.0, json!({})).await["nextCursor"].clone();
            let params = json!({"cursor": cursor});
            let (sizes, shown) = pages(&mut me, list, &params).await;
            assert_eq!(sizes, [1], "{way:?} {}: {shown:?}", list.0);
            assert!(shown[0].contains("skill-119"), "{shown:?}");
        }
    }
}
