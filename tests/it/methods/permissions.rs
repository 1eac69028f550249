//! Keys without a permission see nothing, and the error names what is missing.

use serde_json::{Value, json};
use skillkeep::tenancy::Scope;

use super::client::{TRANSPORTS, WireClient};
use super::{KeyLimits, LISTS, reads};
use crate::harness::TestDb;

/// The JSON-RPC error code of a missing permission.
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

/// A tenant with one skill that has values for every completion.
async fn with_a_skill() -> (TestDb, skillkeep::ids::TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "pdf", "Fills forms.\nmetadata:\n  tags: forms", &[])
        .await;
    (db, tenant)
}

async fn assert_sees_nothing(client: &mut WireClient) {
    for (list, items, _) in LISTS {
        let shown = client.ok(list, json!({})).await;
        assert_eq!(shown[items], json!([]), "{list}: {shown}");
        assert!(shown.get("nextCursor").is_none(), "{list}: {shown}");
    }
    for completion in completions() {
        let shown = client.ok("completion/complete", completion).await;
        assert_eq!(shown["completion"]["values"], json!([]), "{shown}");
        assert_eq!(shown["completion"]["total"], 0, "{shown}");
    }
}

async fn assert_forbidden(client: &mut WireClient, reason: &str) {
    for (method, params) in reads("pdf", "1") {
        let error = client.error(method, params).await;
        assert_eq!(error["code"], FORBIDDEN, "{method}: {error}");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(reason) && message.contains(method), "{message}");
        assert!(!error.to_string().contains("Do it."), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_without_scope_sees_nothing_and_learns_the_scope() {
    for transport in TRANSPORTS {
        let (db, tenant) = with_a_skill().await;
        let scopes: Vec<Scope> = Scope::ALL
            .into_iter()
            .filter(|scope| *scope != Scope::SkillsRead && *scope != Scope::Admin)
            .collect();
        let (_, key) = db.key(tenant, "eve@example.com", &scopes).await;
        let mut client = WireClient::connect(&db.service(), &key, transport).await;
        assert_sees_nothing(&mut client).await;
        assert_eq!(db.events(tenant).await, [], "{transport:?}");
        assert_forbidden(&mut client, "skills:read").await;
        let refused = reads("pdf", "1").map(|(method, _)| (method.to_owned(), "missing_scope".to_owned()));
        assert_eq!(db.events(tenant).await, refused, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn key_limited_to_tools_cannot_read_skills_otherwise() {
    for transport in TRANSPORTS {
        let (db, tenant) = with_a_skill().await;
        let limits = KeyLimits {
            scopes: &Scope::ALL,
            only_skills: None,
            only_tools: Some(&["whoami", "usage_report", "install_skill"]),
        };
        let key = limits.key(&db, tenant).await;
        let mut client = WireClient::connect(&db.service(), &key, transport).await;
        assert_sees_nothing(&mut client).await;
        assert_forbidden(&mut client, "limited to certain tools").await;
        let refused = reads("pdf", "1").map(|(method, _)| (method.to_owned(), "missing_scope".to_owned()));
        assert_eq!(db.events(tenant).await, refused, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn browsing_and_reading_are_separate_permissions() {
    let (db, tenant) = with_a_skill().await;
    let service = db.service();
    for transport in TRANSPORTS {
        let search_only = KeyLimits {
            scopes: &[Scope::SkillsRead],
            only_skills: None,
            only_tools: Some(&["search_skills"]),
        };
        let mut client = WireClient::connect(&service, &search_only.key(&db, tenant).await, transport).await;
        for (list, items, _) in LISTS {
            assert_ne!(client.ok(list, json!({})).await[items], json!([]), "{list}");
        }
        for completion in completions() {
            let shown = client.ok("completion/complete", completion).await;
            assert_ne!(shown["completion"]["values"], json!([]), "{shown}");
        }
        assert_forbidden(&mut client, "limited to certain tools").await;

        let get_only = KeyLimits {
            scopes: &[Scope::SkillsRead],
            only_skills: None,
            only_tools: Some(&["get_skill"]),
        };
        let mut client = WireClient::connect(&service, &get_only.key(&db, tenant).await, transport).await;
        assert_sees_nothing(&mut client).await;
        for (method, params) in reads("pdf", "1") {
            client.ok(method, params).await;
        }
    }
}
