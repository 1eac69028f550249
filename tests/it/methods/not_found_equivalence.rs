//! Skills of another tenant, and skills that a key may not view, get the same error as missing ones and are in no list.

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::tenancy::{ApiKey, Scope};

use super::client::{TRANSPORTS, Transport, WireClient};
use super::{KeyLimits, LISTS, all, pages, reads, store, uri};
use crate::harness::TestDb;

/// A tenant with three skills, a key that sees two of them, and another tenant.
struct Setup {
    db: TestDb,
    mine: TenantId,
    narrow: ApiKey,
    full: ApiKey,
}

const HIDDEN: &str = "concealed";
const VICTIM_ONLY: &str = "theirs";

async fn setup() -> Setup {
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
    // Loads the other tenant's search index, in case an index were shared.
    let their_key = db.full_key(theirs).await;
    let limits = KeyLimits {
        scopes: &Scope::ALL,
        only_skills: Some(&["shared", "visible", VICTIM_ONLY]),
        only_tools: None,
    };
    let narrow = limits.key(&db, mine).await;
    let full = db.full_key(mine).await;
    let mut them = WireClient::connect(&db.service(), &their_key, Transport::InMemory).await;
    assert_eq!(all(&mut them, LISTS[0]).await.len(), 2);
    Setup {
        db,
        mine,
        narrow,
        full,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_skill_gets_the_same_error_as_missing_one() {
    let setup = setup().await;
    let service = setup.db.service();
    for transport in TRANSPORTS {
        let mut me = WireClient::connect(&service, &setup.narrow, transport).await;
        // Hidden or foreign skills, each with a skill that does not exist.
        for ((slug, version), (no_slug, no_version)) in [
            ((VICTIM_ONLY, "1"), ("nobody", "1")),
            ((HIDDEN, "1"), ("nowherex1", "1")),
            (("shared", "2"), ("shared", "9")),
        ] {
            let pairs = reads(slug, version).into_iter().zip(reads(no_slug, no_version));
            for ((method, params), (_, nothing)) in pairs {
                let hidden = me.error(method, params.clone()).await.to_string();
                let missing = me.error(method, nothing.clone()).await.to_string();
                let named = |error: String, slug: &str, version: &str| {
                    error
                        .replace(&format!("{slug}/{version}/{slug}"), "URI")
                        .replace(&format!("\"{slug}\\\""), "SLUG")
                        .replace(&format!("\\\"{slug}\\\""), "SLUG")
                        .replace(&format!("\\\"{version}\\\""), "VERSION")
                };
                assert_eq!(
                    named(hidden, slug, version),
                    named(missing, no_slug, no_version),
                    "{transport:?} {method} {params}"
                );
            }
        }
        // A file that only the other tenant's skill of this name has.
        let hidden = json!({"uri": uri("shared", "1", "theirs.txt")});
        let missing = json!({"uri": uri("shared", "1", "nobody.txt")});
        let hidden = me.error("resources/read", hidden).await.to_string();
        let missing = me.error("resources/read", missing).await.to_string();
        assert_eq!(
            hidden.replace("theirs.txt", "nobody.txt"),
            missing,
            "{transport:?}"
        );
        // Without a version, the tenant's own skill is returned.
        let mine = me.ok("prompts/get", json!({"name": "shared"})).await.to_string();
        assert!(
            mine.contains("apples") && !mine.contains("theirs"),
            "{transport:?}: {mine}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn event_of_rejected_read_does_not_name_the_skill() {
    let setup = setup().await;
    let mut me = WireClient::connect(&setup.db.service(), &setup.narrow, Transport::InMemory).await;
    for (slug, version) in [(VICTIM_ONLY, "1"), (HIDDEN, "1"), ("shared", "2")] {
        for (method, params) in reads(slug, version) {
            me.error(method, params).await;
        }
    }
    let events: Vec<String> = setup
        .db
        .value(
            "SELECT array_agg(DISTINCT concat_ws(' ', t.slug, e.outcome, e.skill_id, e.version_id, e.digest, e.result_bytes))
             FROM usage_events e JOIN tenants t ON t.id = e.tenant_id",
        )
        .await;
    assert_eq!(events, ["acme invalid_arguments 0", "acme tool_error 0"]);
    assert_eq!(setup.db.events(setup.mine).await.len(), 12);
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_omit_hidden_skills() {
    let setup = setup().await;
    let service = setup.db.service();
    for transport in TRANSPORTS {
        let mut me = WireClient::connect(&service, &setup.narrow, transport).await;
        for list in LISTS {
            let whole = me.ok(list.0, json!({})).await;
            let text = whole.to_string();
            assert!(text.contains("shared") && text.contains("visible"), "{text}");
            assert!(!text.contains("theirs") && !text.contains("concealed"), "{text}");
        }
        let mut full = WireClient::connect(&service, &setup.full, transport).await;
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
async fn completions_omit_hidden_skills() {
    let setup = setup().await;
    let service = setup.db.service();
    let template = json!({"type": "ref/resource", "uri": "skill://{skill}/{version}/{name}/{+path}"});
    let prompt = |name: &str| json!({"type": "ref/prompt", "name": name});
    for transport in TRANSPORTS {
        let mut me = WireClient::connect(&service, &setup.narrow, transport).await;
        let values = async |me: &mut WireClient, reference: &Value, argument: &str, context: Value| {
            let params = completion(reference, argument, &context);
            me.ok("completion/complete", params).await["completion"].clone()
        };
        let skills = values(&mut me, &template, "skill", json!({})).await;
        assert_eq!(skills["values"], json!(["shared", "visible"]), "{transport:?}");
        let tags = values(&mut me, &prompt("search_first"), "tag", json!({})).await;
        assert_eq!(tags["values"], json!(["green", "red"]), "{transport:?}");
        let versions = values(&mut me, &prompt("shared"), "version", json!({})).await;
        assert_eq!(versions["values"], json!(["1"]), "{transport:?}");
        let paths = values(&mut me, &template, "path", json!({"skill": "shared"})).await;
        assert_eq!(paths["values"], json!(["SKILL.md"]), "{transport:?}");
        for argument in ["version", "name", "path"] {
            let nothing = values(&mut me, &template, argument, json!({"skill": "nobody"})).await;
            assert_eq!(nothing["values"], json!([]));
            for slug in [HIDDEN, VICTIM_ONLY] {
                let offered = values(&mut me, &template, argument, json!({"skill": slug})).await;
                assert_eq!(offered, nothing, "{transport:?} {argument} {slug}");
            }
        }
        for slug in [HIDDEN, VICTIM_ONLY] {
            let nothing = values(&mut me, &prompt("nobody"), "version", json!({})).await;
            let offered = values(&mut me, &prompt(slug), "version", json!({})).await;
            assert_eq!(offered, nothing, "{transport:?} {slug}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_of_unlimited_key_shows_limited_key_nothing_more() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    for number in 0..120 {
        db.skill(tenant, &format!("skill-{number:03}"), "One of many.", &[])
            .await;
    }
    let limits = KeyLimits {
        scopes: &[Scope::SkillsRead],
        only_skills: Some(&["skill-001", "skill-119"]),
        only_tools: None,
    };
    let (service, narrow, full) = (
        db.service(),
        limits.key(&db, tenant).await,
        db.full_key(tenant).await,
    );
    for transport in TRANSPORTS {
        let mut wide = WireClient::connect(&service, &full, transport).await;
        let mut me = WireClient::connect(&service, &narrow, transport).await;
        for list in LISTS {
            let cursor = wide.ok(list.0, json!({})).await["nextCursor"].clone();
            let params = json!({"cursor": cursor});
            let (sizes, shown) = pages(&mut me, list, &params).await;
            assert_eq!(sizes, [1], "{transport:?} {}: {shown:?}", list.0);
            assert!(shown[0].contains("skill-119"), "{shown:?}");
        }
    }
}
