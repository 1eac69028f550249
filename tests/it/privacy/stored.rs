//! What is stored of users: every table and every reference to a user is documented, and the audit log names nobody.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::registry::administration;
use skillkeep::registry::audit::Actor;
use skillkeep::registry::settings::SettingKey;
use skillkeep::tenancy::Scope;

use crate::harness::{Client, TestDb};

/// The rows of the table of stored data in PRIVACY.md: the table's name, and the columns that refer to users.
fn documented() -> BTreeSet<(String, String)> {
    let page = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/PRIVACY.md"));
    let section = page.split("## Stored data").nth(1).unwrap();
    let section = section.split("\n## ").next().unwrap();
    let names = |cell: &str| -> Vec<String> {
        cell.split(',')
            .filter_map(|name| {
                name.trim()
                    .strip_prefix('`')?
                    .strip_suffix('`')
                    .map(str::to_owned)
            })
            .collect()
    };
    let mut rows = BTreeSet::new();
    for line in section.lines().filter(|line| line.starts_with("| `")) {
        let cells: Vec<&str> = line.split('|').collect();
        for table in names(cells[1]) {
            rows.insert((table.clone(), String::new()));
            rows.extend(names(cells[2]).into_iter().map(|column| (table.clone(), column)));
        }
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn every_table_and_reference_to_a_user_is_documented() {
    let db = TestDb::new().await;
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT c.relname::text, '' FROM pg_class c
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
               AND c.relname <> 'skillkeep_migrations'
             UNION
             SELECT c.relname::text, a.attname::text FROM pg_constraint k
             JOIN pg_class c ON c.oid = k.conrelid AND NOT c.relispartition
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = ANY(k.conkey) AND a.attname <> 'tenant_id'
             WHERE k.contype = 'f' AND k.confrelid = 'users'::regclass
             UNION
             SELECT c.relname::text, a.attname::text FROM pg_class c
             JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'user_id'
             WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition",
            &[],
        )
        .await
        .unwrap();
    let stored: BTreeSet<(String, String)> = rows.iter().map(|row| (row.get(0), row.get(1))).collect();
    assert!(stored.len() > 25, "{stored:?}");
    assert_eq!(documented(), stored);
}

async fn set(db: &TestDb, tenant: skillkeep::ids::TenantId, key: SettingKey, value: &str) {
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let actor = Actor::Admin("test".to_owned());
    administration::settings::set(&tx, &actor, key, value)
        .await
        .unwrap();
    skillkeep::search::commit(tx).await.unwrap();
}

/// Each call with a text that is then searched for.
fn calls() -> Vec<(bool, &'static str, Value)> {
    let skill_md = "---\nname: tides\ndescription: Of canary-description.\n---\n\nOf canary-body.\n";
    vec![
        (
            false,
            "publish_skill",
            json!({"files": [{"path": "SKILL.md", "text": skill_md}], "note": "canary-note"}),
        ),
        (
            true,
            "review_skill",
            json!({"skill": "tides", "verdict": "request_changes", "decided_by": "person", "comment": "canary-review"}),
        ),
        (
            false,
            "update_skill",
            json!({"skill": "tides", "action": "submit"}),
        ),
        (
            true,
            "review_skill",
            json!({"skill": "tides", "verdict": "approve", "decided_by": "person", "comment": "canary-review"}),
        ),
        (
            true,
            "rate_skill",
            json!({"skill": "tides", "stars": 2, "comment": "canary-rating"}),
        ),
        (
            true,
            "fork_skill",
            json!({"skill": "tides", "new_name": "tides-fork"}),
        ),
        (
            false,
            "update_skill",
            json!({"skill": "tides", "action": "deprecate", "note": "canary-deprecation"}),
        ),
        (
            false,
            "yank_skill",
            json!({"skill": "tides", "all": true, "reason": "canary-reason"}),
        ),
        (
            false,
            "update_skill",
            json!({"skill": "tides", "action": "transfer", "to": "bob@example.com"}),
        ),
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn lifecycle_leaves_no_texts_in_events_and_no_addresses_in_the_audit_log() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let service = db.service();
    let author = Client::connect(&service, &db.key(tenant, "ada@example.com", &Scope::ALL).await.1).await;
    let reviewer = Client::connect(&service, &db.key(tenant, "bob@example.com", &Scope::ALL).await.1).await;
    set(&db, tenant, SettingKey::ReviewPolicy, "required").await;
    set(
        &db,
        tenant,
        SettingKey::PublishUsers,
        "ada@example.com,bob@example.com",
    )
    .await;
    for (is_reviewer, tool, arguments) in calls() {
        let client = if is_reviewer { &reviewer } else { &author };
        client.ok(tool, arguments).await;
    }
    let events: String = db
        .value("SELECT string_agg(e::text, ' ') FROM usage_events e")
        .await;
    assert!(
        events.contains("publish_skill") && !events.contains("canary"),
        "{events}"
    );
    assert!(!events.contains("@example.com"), "{events}");
    let log: String = db
        .value("SELECT string_agg(a::text, ' ') FROM audit_logs a WHERE tenant_id <> '00000000-0000-0000-0000-000000000000'")
        .await;
    for action in [
        "skill.review",
        "skill.transfer",
        "skill.yank",
        "skill.fork",
        "settings.set",
    ] {
        assert!(log.contains(action), "{action}: {log}");
    }
    assert!(!log.contains("@example.com"), "{log}");
    // Reasons of withdrawals and deprecations are part of the log, and nothing else that users wrote.
    let logged = log.replace("canary-reason", "").replace("canary-deprecation", "");
    assert!(!logged.contains("canary"), "{log}");
}
