//! The promises of PRIVACY.md: what is recorded, export and erasure.

mod erasing;
mod exporting;
mod stored;

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Value, json};
use skillkeep::ids::{Digest, TenantId};
use skillkeep::isolation_probe::Fixtures;
use skillkeep::tenancy::Scope;

use crate::command::{admin, ended};
use crate::harness::{Client, TestDb};
use crate::helpers::table_checksums;

/// The column names in the table of `usage_events` in PRIVACY.md.
fn documented_columns() -> BTreeSet<String> {
    let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("PRIVACY.md")).unwrap();
    let usage_events = text.split("## Search text").next().unwrap();
    usage_events
        .lines()
        .filter(|line| line.starts_with("| `"))
        .flat_map(|line| line.split('|').nth(1).unwrap().split(','))
        .map(|name| name.trim().trim_matches('`').to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn usage_event_columns_are_the_documented_ones() {
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
    assert_eq!(columns, documented_columns());
}

/// Every text of the calls contains a unique marker, which is then searched for in the usage events.
#[tokio::test(flavor = "multi_thread")]
async fn only_the_search_text_is_recorded_and_never_an_api_key() {
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
async fn search_text_setting_hashes_or_omits_the_text() {
    let db = TestDb::new().await;
    let (acme, other) = (db.tenant("acme").await, db.tenant("other").await);
    let service = db.service();
    let client = Client::connect(&service, &db.full_key(acme).await).await;
    let other_client = Client::connect(&service, &db.full_key(other).await).await;
    let search = json!({"query": "Unobtainium alloys"});
    client.ok("search_skills", search.clone()).await;
    admin(&db, &["tenant", "set", "acme", "--search-text", "hashed"]);
    for query in ["Unobtainium alloys", "unobtainium  ALLOYS", "something else"] {
        client.ok("search_skills", json!({"query": query})).await;
    }
    admin(&db, &["tenant", "set", "acme", "--search-text", "off"]);
    client.ok("search_skills", search.clone()).await;
    let texts = search_texts(&db, acme).await;
    assert_eq!(texts[0].as_deref(), Some("Unobtainium alloys"));
    assert!(texts[1].as_deref().unwrap().starts_with("hmac:"), "{texts:?}");
    assert_eq!(texts[1], texts[2], "equal searches have equal hashes");
    assert_ne!(texts[1], texts[3]);
    assert_eq!(texts[4], None);
    // Another tenant has another hash of the same text.
    admin(&db, &["tenant", "set", "other", "--search-text", "hashed"]);
    other_client.ok("search_skills", search).await;
    assert_ne!(search_texts(&db, other).await[0], texts[1]);
    let report = client.ok("usage_report", json!({})).await;
    assert_eq!(report["empty_searches"].as_array().unwrap().len(), 3, "{report}");
    assert_eq!(
        ended(&db, &["tenant", "set", "acme", "--search-text", "some"]).code,
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn export_contains_all_rows_and_files_of_the_tenant_only() {
    let db = TestDb::new().await;
    let fixtures = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let rows = "INSERT INTO secret_paths (tenant_id, id, api_key_id, name, secret_hash, created_by, expires_at)
                    SELECT tenant_id, id, id, 'share', key_hash, 'root', now() + interval '1 day' FROM api_keys;
                INSERT INTO archive_digests SELECT tenant_id, id, digest FROM skill_versions;
                INSERT INTO plugin_digests SELECT tenant_id, id, 'plugin', digest FROM skill_versions;
                INSERT INTO usage_days (tenant_id, day, tools, outcomes, tool_calls, durations, duration_calls, pair_users, pair_skills,
                        pair_calls, empty_queries, empty_filters, empty_weak, empty_searches, lost_queries, lost_users, lost_searches)
                    SELECT DISTINCT tenant_id, current_date, '{}'::text[], '{}'::text[], '{}'::integer[], '{}'::integer[], '{}'::integer[],
                        '{}'::uuid[], '{}'::uuid[], '{}'::integer[], '{}'::text[], '{}'::text[], '{}'::boolean[], '{}'::integer[],
                        '{}'::text[], '{}'::uuid[], '{}'::integer[] FROM skills";
    db.superuser().await.batch_execute(rows).await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("export");
    let exported = admin(
        &db,
        &[
            "tenant",
            "export",
            &fixtures.victim.slug,
            "--out",
            &out.display().to_string(),
        ],
    );
    assert!(exported.out.contains("rows"), "{exported:?}");
    let manifest: Value = serde_json::from_slice(&std::fs::read(out.join("manifest.json")).unwrap()).unwrap();
    let mut all = String::new();
    for (table, (rows, _)) in table_checksums(&db, fixtures.victim.tenant).await {
        if table == "blobs" {
            assert_eq!(manifest["files"], rows);
        }
        // The last entry summarises the export and is written after it.
        let rows = if table == "audit_logs" { rows - 1 } else { rows };
        let path = out.join("tables").join(format!("{table}.jsonl"));
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(text.lines().count(), usize::try_from(rows).unwrap(), "{table}");
        assert!(
            rows > 0 || table == "skill_embeddings",
            "there is nothing to export in {table}"
        );
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
        fixtures.attacker.tenant.to_string(),
        fixtures.attacker.slug.clone(),
        fixtures.control.slug.clone(),
    ] {
        assert!(!all.contains(&foreign), "{foreign}");
    }
    let hash = fixtures.victim.key.hash().to_string();
    assert!(
        !all.contains(hash.trim_start_matches("sha256:")),
        "the hash of the API key"
    );
    assert!(!all.contains("cursor_secret"));
    // An existing export is not overwritten.
    assert_eq!(
        ended(
            &db,
            &[
                "tenant",
                "export",
                &fixtures.victim.slug,
                "--out",
                &out.display().to_string()
            ]
        )
        .code,
        4
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn erasure_leaves_only_a_valid_audit_log_with_a_certificate() {
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
    let report = admin(&db, &["tenant", "erase", "acme", "--confirm", "acme", "--json"]).json();
    assert_eq!(report["erased_rows"]["users"], before["users"].0);
    assert_eq!(report["erased_rows"]["usage_events"], before["usage_events"].0);
    for (table, (rows, _)) in table_checksums(&db, tenant).await {
        match table.as_str() {
            "tenants" => assert_eq!(rows, 1),
            // Entries of the suspension and of the erasure.
            "audit_logs" => assert_eq!(rows, before["audit_logs"].0 + 2),
            _ => assert_eq!(rows, 0, "{table}"),
        }
    }
    assert_eq!(
        table_checksums(&db, other).await,
        others,
        "no row of another tenant"
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
    assert_eq!(certificate["details"]["erased_rows"], report["erased_rows"]);
    assert!(
        !log.iter().any(|entry| entry.to_string().contains("@example.com")),
        "{log:?}"
    );
    assert_eq!(admin(&db, &["audit", "verify", "--tenant", &erased]).code, 0);
    assert_eq!(
        ended(&db, &["tenant", "erase", &erased, "--confirm", &erased]).code,
        4
    );
    assert_unusable(&db, &erased);
    // The slug is free again.
    admin(&db, &["tenant", "create", "acme"]);
}

fn assert_unusable(db: &TestDb, erased: &str) {
    for refused in [
        vec!["tenant", "resume", erased],
        vec!["user", "create", "eve@example.com", "--tenant", erased],
        vec!["key", "create", "--user", "eve@example.com", "--tenant", erased],
        vec!["import", "samples", "--tenant", erased],
    ] {
        let ran = ended(db, &refused);
        assert_eq!(ran.code, 4, "{ran:?}");
        assert!(ran.err.contains("was erased"), "{ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn admin_role_can_erase_only_the_current_tenant() {
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
