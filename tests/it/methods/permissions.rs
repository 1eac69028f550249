//! Keys that may not: they are shown nothing, and told what they lack.

use serde_json::{Value, json};
use skillkeep::tenancy::Scope;

use super::client::{Speaker, WAYS};
use super::{LISTS, Limited, reads};
use crate::harness::TestDb;

/// The JSON-RPC error of a key that may not do this.
const FORBIDDEN: i64 = -31_003;

fn completions() -> [Value; 5] {
    let template = json!({"type": "ref/resource", "uri": "skill://{skill}/{version}/{name}/{+path}"});
    let search = json!({"type": "ref/prompt", "name": "search_first"});
    let prompt = json!({"type": "ref/prompt", "name": "pdf"});
    [
        (&template, "skill", json!({})),
        (&search, "tag", json!({})),
        (&prompt, "version", json!({})),
        (&template, "version", json!({"skill": "pdf"})),
        (&template, "path", json!({"skill": "pdf", "version": "1"})),
    ]
    .map(|(reference, argument, context)| {
        json!({"ref": reference, "argument": {"name": argument, "value": ""}, "context": {"arguments": context}})
    })
}

/// A tenant with one skill that has everything to offer.
async fn with_a_skill() -> (TestDb, skillkeep::ids::TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "pdf", "Fills forms.\nmetadata:\n  tags: forms", &[])
        .await;
    (db, tenant)
}

async fn shows_nothing(speaker: &mut Speaker) {
    for (list, items, _) in LISTS {
        let shown = speaker.ok(list, json!({})).await;
        assert_eq!(shown[items], json!([]), "{list}: {shown}");
        assert!(shown.get("nextCursor").is_none(), "{list}: {shown}");
    }
    for completion in completions() {
        let shown = speaker.ok("completion/complete", completion).await;
        assert_eq!(shown["completion"]["values"], json!([]), "{shown}");
        assert_eq!(shown["completion"]["total"], 0, "{shown}");
    }
}

async fn is_refused(speaker: &mut Speaker, words: &str) {
    for (method, params) in reads("pdf", "1") {
        let error = speaker.error(method, params).await;
        assert_eq!(error["code"], FORBIDDEN, "{method}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(words) && message.contains(method), "{message}");
        assert!(!error.to_string().contains("Do it."), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_without_the_scope_is_shown_nothing_and_told_which_scope_it_lacks() {
    for way in WAYS {
        let (db, tenant) = with_a_skill().await;
        let scopes: Vec<Scope> = Scope::ALL
            .into_iter()
            .filter(|scope| *scope != Scope::SkillsRead && *scope != Scope::Admin)
            .collect();
        let (_, key) = db.key(tenant, "eve@example.com", &scopes).await;
        let mut speaker = Speaker::connect(&db.service(), &key, way).await;
        shows_nothing(&mut speaker).await;
        assert_eq!(db.events(tenant).await, [], "{way:?}");
        is_refused(&mut speaker, "skills:read").await;
        let refused = reads("pdf", "1").map(|(method, _)| (method.to_owned(), "missing_scope".to_owned()));
        assert_eq!(db.events(tenant).await, refused, "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_for_certain_tools_reads_no_skill_around_them() {
    for way in WAYS {
        let (db, tenant) = with_a_skill().await;
        let limits = Limited {
            scopes: &Scope::ALL,
            only_skills: None,
            only_tools: Some(&["whoami", "usage_report", "install_skill"]),
        };
        let key = limits.key(&db, tenant).await;
        let mut speaker = Speaker::connect(&db.service(), &key, way).await;
        shows_nothing(&mut speaker).await;
        is_refused(&mut speaker, "limited to certain tools").await;
        let refused = reads("pdf", "1").map(|(method, _)| (method.to_owned(), "missing_scope".to_owned()));
        assert_eq!(db.events(tenant).await, refused, "{way:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_and_reading_are_allowed_one_by_one() {
    let (db, tenant) = with_a_skill().await;
    let service = db.service();
    for way in WAYS {
        let search_only = Limited {
            scopes: &[Scope::SkillsRead],
            only_skills: None,
            only_tools: Some(&["search_skills"]),
        };
        let mut speaker = Speaker::connect(&service, &search_only.key(&db, tenant).await, way).await;
        for (list, items, _) in LISTS {
            assert_ne!(speaker.ok(list, json!({})).await[items], json!([]), "{list}");
        }
        for completion in completions() {
            let shown = speaker.ok("completion/complete", completion).await;
            assert_ne!(shown["completion"]["values"], json!([]), "{shown}");
        }
        is_refused(&mut speaker, "limited to certain tools").await;

        let get_only = Limited {
            scopes: &[Scope::SkillsRead],
            only_skills: None,
            only_tools: Some(&["get_skill"]),
        };
        let mut speaker = Speaker::connect(&service, &get_only.key(&db, tenant).await, way).await;
        shows_nothing(&mut speaker).await;
        for (method, params) in reads("pdf", "1") {
            speaker.ok(method, params).await;
        }
    }
}
