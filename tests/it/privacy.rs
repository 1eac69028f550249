//! What is recorded is what PRIVACY.md says, a tenant can have it all, and can have it erased.

mod erasing;
mod exporting;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use skillkeep::ids::{Digest, TenantId};
use skillkeep::isolation_probe::Fixtures;
use skillkeep::tenancy::Scope;

use crate::command::{admin, ended};
use crate::harness::{Client, TestDb};
use crate::helpers::table_checksums;

/// The names in the first column of the table of calls.
fn listed() -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("PRIVACY.md")).unwrap();
    let of_calls = text.split("## Of searches").next().unwrap();
    of_calls
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_columns_of_a_call_are_those_that_are_listed() {
    let db = TestDb::new().await;
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'usage_events'::regclass AND attnum > 0 AND NOT attisdropped",
            &[],
        )
        .await
        .unwrap();
    let columns: BTreeSet<String> = rows.iter().map(|row| row.get(0)).collect();
    assert_eq!(columns, listed());
}

/// Calls with a word of its own in every text, and what the records then hold of each.
#[tokio::test(flavor = "multi_thread")]
async fn of_what_a_caller_says_only_the_search_text_is_recorded_and_no_key_ever() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(
        tenant,
        "shared",
        "Of canary-description.",
        &[("notes.txt", b"canary-file")],
    )
    .await;
    let key = db.full_key(tenant).await;
    let client = Client::connect(&db.service(), &key).await;
    client
        .ok(
            "search_skills",
            json!({"query": format!("canary-query {}", key.reveal())}),
        )
        .await;
    let _ = client
        .call("search_skills", json!({"query": "x", "author": "canary-author"}))
        .await;
    client
        .ok("get_skill", json!({"skill": "shared", "file": "notes.txt"}))
        .await;
    let _ = client.call("get_skill", json!({"skill": "canary-slug"})).await;
    let _ = client
        .call("canary tool", json!({"canary-value": "canary-argument"}))
        .await;
    let _ = client.call(key.reveal(), json!({})).await;
    client
        .ok(
            "record_usage",
            json!({"skill": "shared", "outcome": "helped", "comment": "canary-comment"}),
        )
        .await;
    let recorded: String = db
        .value("SELECT string_agg(e::text, ' ') FROM usage_events e")
        .await;
    let kept: BTreeSet<&str> = [
        "canary-query",
        "canary-author",
        "canary-description",
        "canary-file",
        "canary-slug",
        "canary tool",
        "canary-argument",
        "canary-comment",
    ]
    .into_iter()
    .filter(|word| recorded.contains(word))
    .collect();
    assert_eq!(kept, BTreeSet::from(["canary-query"]), "{recorded}");
    assert!(!recorded.contains(&key.reveal()[6..]), "{recorded}");
    assert!(recorded.contains("skeep_(hidden)"), "{recorded}");
}

async fn search_texts(db: &TestDb, tenant: TenantId) -> Vec<Option<String>> {
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT arguments ->> 'search_text' FROM usage_events WHERE tenant_id = $1 AND tool = 'search_skills' ORDER BY id",
            &[tenant.as_uuid()],
        )
        .await
        .unwrap();
    rows.iter().map(|row| row.get(0)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_can_have_its_search_texts_hashed_or_left_out() {
    let db = TestDb::new().await;
    let (acme, other) = (db.tenant("acme").await, db.tenant("other").await);
    let service = db.service();
    let client = Client::connect(&service, &db.full_key(acme).await).await;
    let stranger = Client::connect(&service, &db.full_key(other).await).await;
    let ask = json!({"query": "Unobtainium alloys"});
    client.ok("search_skills", ask.clone()).await;
    admin(&db, &["tenant", "set", "acme", "--search-text", "hashed"]);
    for query in ["Unobtainium alloys", "unobtainium  ALLOYS", "something else"] {
        client.ok("search_skills", json!({"query": query})).await;
    }
    admin(&db, &["tenant", "set", "acme", "--search-text", "off"]);
    client.ok("search_skills", ask.clone()).await;
    let texts = search_texts(&db, acme).await;
    assert_eq!(texts[0].as_deref(), Some("Unobtainium alloys"));
    assert!(texts[1].as_deref().unwrap().starts_with("hmac:"), "{texts:?}");
    assert_eq!(texts[1], texts[2], "the same search is counted as such");
    assert_ne!(texts[1], texts[3]);
    assert_eq!(texts[4], None);
    // Another tenant's hash of the same words is another.
    admin(&db, &["tenant", "set", "other", "--search-text", "hashed"]);
    stranger.ok("search_skills", ask).await;
    assert_ne!(search_texts(&db, other).await[0], texts[1]);
    let report = client.ok("usage_report", json!({})).await;
    assert_eq!(report["empty_searches"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(
        ended(&db, &["tenant", "set", "acme", "--search-text", "some"]).code,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_holds_every_row_and_file_of_the_tenant_and_none_of_anothers() {
    let db = TestDb::new().await;
    let world = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("export");
    let told = admin(
        &db,
        &[
            "tenant",
            "export",
            &world.victim.slug,
            "--out",
            &out.display().to_string(),
        ],
    );
    assert!(told.out.contains("rows"), "{told:?}");
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let mut all = String::new();
    for (table, (rows, _)) in table_checksums(&db, world.victim.tenant).await {
        if table == "blobs" {
            assert_eq!(manifest["files"], rows);
        }
        // The last entry says what the export came to, so it is not in it.
        let rows = if table == "audit_logs" { rows - 1 } else { rows };
        let path = out.join("tables").join(format!("{table}.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text.lines().count(), usize::try_from(rows).unwrap(), "{table}");
        assert_eq!(
            manifest["rows"].get(&table).cloned().unwrap_or(json!(0)),
            rows,
            "{table}"
        );
        all.push_str(&text);
    }
    for file in std::fs::read_dir(out.join("files")).unwrap() {
        let file = file.unwrap();
        let digest = Digest::of(&std::fs::read(file.path()).unwrap()).to_string();
        assert_eq!(digest, format!("sha256:{}", file.file_name().to_str().unwrap()));
    }
    for foreign in [
        world.attacker.tenant.to_string(),
        world.attacker.slug.clone(),
        world.control.slug.clone(),
    ] {
        assert!(!all.contains(&foreign), "{foreign}");
    }
    let hash = world.victim.key.hash().to_string();
    assert!(
        !all.contains(hash.trim_start_matches("sha256:")),
        "the hash of a key"
    );
    assert!(!all.contains("cursor_secret"));
    // It is not written over.
    assert_eq!(
        ended(
            &db,
            &[
                "tenant",
                "export",
                &world.victim.slug,
                "--out",
                &out.display().to_string()
            ]
        )
        .code,
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erased_tenant_leaves_a_whole_audit_log_with_a_certificate_and_nothing_else() {
    let db = TestDb::new().await;
    admin(&db, &["tenant", "create", "acme"]);
    admin(&db, &["user", "create", "carol@example.com", "--tenant", "acme"]);
    let id: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
    let tenant = TenantId::from_uuid(id);
    let other = db.tenant("other").await;
    let service = db.service();
    for tenant in [tenant, other] {
        db.skill(tenant, "shared", "Of both.", &[("notes.txt", b"the same bytes")])
            .await;
        let client = Client::connect(&service, &db.full_key(tenant).await).await;
        let install = client
            .ok("install_skill", json!({"skill": "shared", "assistant": "codex"}))
            .await;
        assert!(install["install_id"].is_string());
        client
            .ok("record_usage", json!({"skill": "shared", "outcome": "helped"}))
            .await;
    }
    let key = db.key(tenant, "bob@example.com", &Scope::ALL).await.1;
    let client = Client::connect(&service, &key).await;
    client.ok("search_skills", json!({})).await;
    let (before, others) = (
        table_checksums(&db, tenant).await,
        table_checksums(&db, other).await,
    );
    assert_eq!(
        ended(&db, &["tenant", "erase", "acme", "--confirm", "amce"]).code,
        2
    );
    assert_eq!(table_checksums(&db, tenant).await, before);
    let told = admin(&db, &["tenant", "erase", "acme", "--confirm", "acme", "--json"]).json();
    assert_eq!(told["erased_rows"]["users"], before["users"].0);
    assert_eq!(told["erased_rows"]["usage_events"], before["usage_events"].0);
    for (table, (rows, _)) in table_checksums(&db, tenant).await {
        match table.as_str() {
            "tenants" => assert_eq!(rows, 1),
            // Its keys were suspended first.
            "audit_logs" => assert_eq!(rows, before["audit_logs"].0 + 2),
            _ => assert_eq!(rows, 0, "{table}"),
        }
    }
    assert_eq!(
        table_checksums(&db, other).await,
        others,
        "not a row of another tenant's"
    );
    assert!(client.call("search_skills", json!({})).await.is_err());
    service.drain().await;
    let erased = format!("erased-{tenant}");
    let log = admin(
        &db,
        &["audit", "tail", "--tenant", &erased, "--json", "-n", "100"],
    )
    .json_lines();
    let certificate = log
        .iter()
        .find(|entry| entry["action"] == "tenant.erase")
        .unwrap();
    assert_eq!(certificate["details"]["erased_rows"], told["erased_rows"]);
    assert!(
        !log.iter().any(|entry| entry.to_string().contains("@example.com")),
        "{log:?}"
    );
    assert_eq!(admin(&db, &["audit", "verify", "--tenant", &erased]).code, 0);
    assert_eq!(
        ended(&db, &["tenant", "erase", &erased, "--confirm", &erased]).code,
        4
    );
    // It never works again; its name is free.
    for refused in [
        vec!["tenant", "resume", &erased],
        vec!["user", "create", "eve@example.com", "--tenant", &erased],
        vec!["key", "create", "--user", "eve@example.com", "--tenant", &erased],
        vec!["import", "samples", "--tenant", &erased],
    ] {
        let ran = ended(&db, &refused);
        assert_eq!(ran.code, 4, "{ran:?}");
        assert!(ran.err.contains("was erased"), "{ran:?}");
    }
    admin(&db, &["tenant", "create", "acme"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_but_the_operator_erases_and_he_only_the_tenant_that_he_works_on() {
    let db = TestDb::new().await;
    let (acme, other) = (db.tenant("acme").await, db.tenant("other").await);
    let client = skillkeep::db::connect_owner(&db.ways.admin).await.unwrap();
    let begin = format!("SET ROLE skillkeep_admin; BEGIN; SET LOCAL app.current_tenant_id = '{acme}'");
    client.batch_execute(&begin).await.unwrap();
    let refused = client
        .batch_execute(&format!("SELECT erase_tenant('{other}')"))
        .await
        .unwrap_err();
    assert_eq!(refused.code().unwrap().code(), "42501");
}
