//! Data of another tenant gets the same answer as data that does not exist, and is never changed.

mod filters;
mod limited_answers;
mod queries;
mod values;

use rmcp::model::CallToolResult;
use rmcp::service::ServiceError;
use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::{InstallId, TenantId, UserId};
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes};

use crate::harness::{Client, TestDb};
use crate::helpers::table_checksums;

/// Two tenants that share a slug and file contents, each also with a skill of its own.
struct TwoTenants {
    db: TestDb,
    mine: TenantId,
    other_tenant: TenantId,
    my_key: ApiKey,
    their_key: ApiKey,
    their_user: UserId,
    their_install: String,
}

const SHARED_FILE: &[u8] = b"the same bytes in both\n";

async fn two() -> TwoTenants {
    let db = TestDb::new().await;
    let (mine, other_tenant) = (db.tenant("mine").await, db.tenant("theirs").await);
    for (tenant, own) in [(mine, "mine"), (other_tenant, "theirs")] {
        let description = format!("Fills in the forms of {own}.");
        db.skill(tenant, "shared", &description, &[("notes.txt", SHARED_FILE)])
            .await;
        db.skill(tenant, &format!("only-{own}"), "Something of its own.", &[])
            .await;
    }
    // A second version that only the other tenant has, with a word that only the other tenant uses.
    db.skill(
        other_tenant,
        "shared",
        "Folds xylophones of theirs.",
        &[("more.txt", b"more")],
    )
    .await;
    let my_key = db.full_key(mine).await;
    let (their_user, their_key) = db.key(other_tenant, "ada@example.com", &Scope::ALL).await;
    let client = Client::connect(&db.service(), &their_key).await;
    let install = client
        .ok("install_skill", json!({"skill": "shared", "assistant": "codex"}))
        .await;
    client
        .ok(
            "record_usage",
            json!({"skill": "shared", "outcome": "helped", "minutes_saved": 77, "idempotency_key": "taken"}),
        )
        .await;
    TwoTenants {
        mine,
        other_tenant,
        my_key,
        their_key,
        their_user,
        their_install: install["install_id"].as_str().unwrap().to_owned(),
        db,
    }
}

/// The answer as the caller sees it, without the text that the caller sent.
fn seen(answer: Result<CallToolResult, ServiceError>, sent: &str) -> String {
    let text = match answer {
        Ok(result) => serde_json::to_string(&result).unwrap(),
        Err(error) => error.to_string(),
    };
    text.replace(sent, "SENT")
}

#[tokio::test(flavor = "multi_thread")]
async fn foreign_id_gets_the_same_answer_as_missing_one() {
    let two = two().await;
    let service = two.db.service();
    let them = Client::connect(&service, &two.their_key).await;
    let page = them.ok("search_skills", json!({"limit": 1})).await;
    let cursor = page["next_cursor"].as_str().unwrap();
    let id: String = two
        .db
        .value("SELECT id::text FROM skills WHERE slug = 'only-theirs'")
        .await;
    let files = json!([{"path": "SKILL.md", "digest": format!("sha256:{}", "0".repeat(64))}]);
    let nothing = InstallId::new().to_string();
    let before = table_checksums(&two.db, two.other_tenant).await;
    // The same service, so that the other tenant's search index is loaded.
    let me = Client::connect(&service, &two.my_key).await;
    type Arguments<'a> = Box<dyn Fn(&str) -> Value + 'a>;
    let cases: Vec<(&str, Arguments, &str, &str)> = vec![
        (
            "get_skill",
            Box::new(|w| json!({"skill": w})),
            "only-theirs",
            "only-nobodys",
        ),
        ("get_skill", Box::new(|w| json!({"skill": w})), &id, &nothing),
        (
            "get_skill",
            Box::new(|w| json!({"skill": w, "file": "SKILL.md"})),
            "only-theirs",
            "only-nobodys",
        ),
        (
            "get_skill",
            Box::new(|w| json!({"skill": "shared", "version": w})),
            "2",
            "9",
        ),
        (
            "get_skill",
            Box::new(|w| json!({"skill": "shared", "file": w})),
            "more.txt",
            "less.txt",
        ),
        (
            "install_skill",
            Box::new(|w| json!({"skill": w, "assistant": "codex"})),
            "only-theirs",
            "only-nobodys",
        ),
        (
            "install_skill",
            Box::new(|w| json!({"skill": "shared", "version": w, "assistant": "codex"})),
            "2",
            "9",
        ),
        (
            "record_usage",
            Box::new(|w| json!({"skill": w, "outcome": "helped"})),
            "only-theirs",
            "only-nobodys",
        ),
        (
            "record_usage",
            Box::new(|w| json!({"skill": "shared", "version": w, "outcome": "stale"})),
            "2",
            "9",
        ),
        (
            "confirm_install",
            Box::new(|w| json!({"install_id": w, "files": files})),
            &two.their_install,
            &nothing,
        ),
        (
            "search_skills",
            Box::new(|w| json!({"query": w})),
            "xylophones",
            "saxophonist",
        ),
        (
            "search_skills",
            Box::new(|w| json!({"cursor": w, "limit": 1})),
            cursor,
            "bm90aGluZw",
        ),
        (
            "search_skills",
            Box::new(|w| json!({"author": w})),
            "theirs",
            "nobody",
        ),
        ("search_skills", Box::new(|w| json!({"tag": w})), &id, &nothing),
        (
            "search_skills",
            Box::new(|w| json!({"category": w})),
            "only-theirs",
            "only-nobodys",
        ),
    ];
    for (tool, arguments, foreign, absent) in &cases {
        let foreign_answer = seen(me.call(tool, arguments(foreign)).await, foreign);
        let absent_answer = seen(me.call(tool, arguments(absent)).await, absent);
        assert_eq!(foreign_answer, absent_answer, "{tool} {foreign}");
        assert!(!foreign_answer.contains("xylophone"), "{foreign_answer}");
    }
    assert_eq!(table_checksums(&two.db, two.other_tenant).await, before);
    assert_eq!(two.db.events(two.mine).await.len(), cases.len() * 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn idempotency_keys_of_tenants_are_independent() {
    let two = two().await;
    let before = table_checksums(&two.db, two.other_tenant).await;
    let me = Client::connect(&two.db.service(), &two.my_key).await;
    let report = json!({"skill": "shared", "outcome": "failed", "idempotency_key": "taken"});
    assert_eq!(me.ok("record_usage", report.clone()).await["duplicate"], false);
    assert_eq!(me.ok("record_usage", report).await["duplicate"], true);
    assert_eq!(table_checksums(&two.db, two.other_tenant).await, before);
}

#[tokio::test(flavor = "multi_thread")]
async fn same_slug_and_bytes_are_stored_per_tenant() {
    let two = two().await;
    let service = two.db.service();
    for (key, text, versions) in [
        (&two.their_key, "xylophones", 2),
        (&two.my_key, "forms of mine", 1),
    ] {
        let client = Client::connect(&service, key).await;
        let read = json!({"skill": "shared", "file": "SKILL.md"});
        let file = client.ok("get_skill", read).await;
        assert!(file["file"]["text"].as_str().unwrap().contains(text), "{file}");
        let skill = client.ok("get_skill", json!({"skill": "shared"})).await;
        assert!(skill["description"].as_str().unwrap().contains(text), "{skill}");
        assert_eq!(skill["versions"].as_array().unwrap().len(), versions);
    }
    let me = Client::connect(&service, &two.my_key).await;
    let skill = me.ok("get_skill", json!({"skill": "shared"})).await;
    assert_eq!(
        (&skill["installs"], &skill["helped"]),
        (&json!(0), &json!(0)),
        "data of the other tenant is not counted"
    );
    let copies: i64 = two
        .db
        .value("SELECT count(*) FROM blobs WHERE bytes = 'the same bytes in both\n'::bytea")
        .await;
    assert_eq!(copies, 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_report_counts_own_tenant_only() {
    let two = two().await;
    let service = two.db.service();
    let them = Client::connect(&service, &two.their_key).await;
    for _ in 0..5 {
        them.ok("search_skills", json!({"query": "unobtainium"})).await;
    }
    let me = Client::connect(&service, &two.my_key).await;
    me.ok("search_skills", json!({"query": "forms"})).await;
    let report = me.ok("usage_report", json!({"top": 100})).await;
    assert_eq!(report["calls"], 1, "{report}");
    assert_eq!(report["minutes_saved"], 0, "{report}");
    for foreign in ["unobtainium", "only-theirs"] {
        assert!(!report.to_string().contains(foreign), "{report}");
    }
    assert!(
        them.ok("usage_report", json!({}))
            .await
            .to_string()
            .contains("unobtainium")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn search_returns_own_skills_only() {
    let two = two().await;
    let service = two.db.service();
    let them = Client::connect(&service, &two.their_key).await;
    let me = Client::connect(&service, &two.my_key).await;
    let slugs = |answer: Value| -> Vec<String> {
        let hits = answer["hits"].as_array().unwrap().clone();
        hits.iter()
            .map(|hit| hit["skill"].as_str().unwrap().to_owned())
            .collect()
    };
    for _ in 0..2 {
        assert_eq!(
            slugs(them.ok("search_skills", json!({})).await),
            ["only-theirs", "shared"]
        );
        assert_eq!(
            slugs(them.ok("search_skills", json!({"query": "xylophones"})).await),
            ["shared"]
        );
        assert_eq!(
            slugs(me.ok("search_skills", json!({})).await),
            ["only-mine", "shared"]
        );
        assert!(slugs(me.ok("search_skills", json!({"query": "xylophones"})).await).is_empty());
    }
}

/// A key of the other tenant's user that is limited to one skill.
async fn key_for_one_skill(two: &TwoTenants) -> ApiKey {
    let tx = TenantTx::begin_as_admin(&two.db.admin, two.other_tenant)
        .await
        .unwrap();
    let new = NewApiKey {
        user: two.their_user,
        name: "narrow".to_owned(),
        scopes: Scopes::new(Scope::ALL),
        only_skills: Some(vec!["only-theirs".to_owned()]),
        only_tools: None,
        expires_at: None,
        call_limits: CallLimits::default(),
    };
    let (_, key) = api_keys::create(&tx, &new).await.unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    key
}

#[tokio::test(flavor = "multi_thread")]
async fn key_limited_to_skills_sees_no_other_skills() {
    let two = two().await;
    let client = Client::connect(&two.db.service(), &key_for_one_skill(&two).await).await;
    let found = client.ok("search_skills", json!({})).await;
    assert_eq!(found["hits"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["hits"][0]["skill"], "only-theirs");
    let found = client.ok("search_skills", json!({"query": "xylophones"})).await;
    assert!(found["hits"].as_array().unwrap().is_empty(), "{found}");
    client.ok("get_skill", json!({"skill": "only-theirs"})).await;
    let refused = client.error("usage_report", json!({})).await;
    assert!(refused.contains("limited to certain skills"), "{refused}");
    for (tool, extra) in [
        ("get_skill", json!({})),
        ("get_skill", json!({"version": "1"})),
        ("install_skill", json!({"assistant": "codex"})),
        ("record_usage", json!({"outcome": "helped"})),
    ] {
        let ask = |skill: &str| {
            let mut arguments = extra.clone();
            arguments["skill"] = json!(skill);
            arguments
        };
        let hidden = seen(client.call(tool, ask("shared")).await, "shared");
        let absent = seen(client.call(tool, ask("absent")).await, "absent");
        assert_eq!(hidden, absent, "{tool}");
    }
    let files = json!([{"path": "SKILL.md", "digest": format!("sha256:{}", "0".repeat(64))}]);
    let confirm = |id: &str| json!({"install_id": id, "files": files});
    let hidden = client.error("confirm_install", confirm(&two.their_install)).await;
    let absent = client
        .error("confirm_install", confirm(&InstallId::new().to_string()))
        .await;
    assert_eq!(hidden, absent);
}
