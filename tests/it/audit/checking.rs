//! `audit check` and `audit verify` with forged, damaged and foreign exports, checkpoints and logs.

use serde_json::Value;

use super::{acme, check, export, keygen, path, verify};
use crate::command::{admin, ended};
use crate::harness::TestDb;

async fn tenant_id(db: &TestDb, slug: &str) -> String {
    db.value(&format!("SELECT id::text FROM tenants WHERE slug = '{slug}'"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn log_or_checkpoint_of_another_tenant_is_rejected() {
    let db = TestDb::new().await;
    acme(&db).await;
    admin(&db, &["tenant", "create", "other"]);
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = keygen(&folder, "audit.key");
    let (ours, theirs) = (path(&folder, "acme.jsonl"), path(&folder, "other.jsonl"));
    export(&db, "acme", &ours, &key, "jsonl");
    export(&db, "other", &theirs, &key, "jsonl");
    let (acme, other) = (tenant_id(&db, "acme").await, tenant_id(&db, "other").await);
    let with_key = ["--public-key", public.as_str()];
    let checked = check(&ours, &[&with_key[..], &["--tenant-id", &acme]].concat());
    assert_eq!(checked.code, 0, "{checked:?}");
    assert!(checked.out.contains(&acme), "{checked:?}");
    let json = check(&ours, &[&with_key[..], &["--json"]].concat()).json();
    assert_eq!(json["tenant_id"], acme.as_str());
    // Both exports are valid; they differ only in their tenant.
    assert_eq!(check(&theirs, &with_key).code, 0);
    let foreign = check(&theirs, &[&with_key[..], &["--tenant-id", &acme]].concat());
    assert_eq!(foreign.code, 1, "{foreign:?}");
    assert!(
        foreign.err.contains(&other) && foreign.err.contains(&acme),
        "{foreign:?}"
    );
    let checkpoint = format!("{theirs}.checkpoint.json");
    let their_checkpoint = [&with_key[..], &["--checkpoint", &checkpoint]].concat();
    let mixed = check(&ours, &their_checkpoint);
    assert_eq!(mixed.code, 1, "{mixed:?}");
    assert!(mixed.err.contains("is the log of the tenant"), "{mixed:?}");
    let mixed = verify(&db, &their_checkpoint);
    assert_eq!(mixed.code, 1, "{mixed:?}");
    assert!(mixed.err.contains(&other), "{mixed:?}");
    let verified = verify(&db, &["--json"]).json();
    assert_eq!(verified["tenant_id"], acme.as_str());
    assert!(verify(&db, &[]).out.contains(&acme));
}

#[tokio::test(flavor = "multi_thread")]
async fn checkpoint_signed_with_a_forged_key_is_rejected() {
    let db = TestDb::new().await;
    acme(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = keygen(&folder, "audit.key");
    let (forged_key, _) = keygen(&folder, "forged.key");
    let (out, forged) = (path(&folder, "log.jsonl"), path(&folder, "forged.jsonl"));
    export(&db, "acme", &out, &key, "jsonl");
    super::rebuild_log(&db, 6).await;
    export(&db, "acme", &forged, &forged_key, "jsonl");
    let checkpoint = format!("{forged}.checkpoint.json");
    // The key in the checkpoint is used only with an explicit option.
    for ran in [check(&forged, &[]), verify(&db, &["--checkpoint", &checkpoint])] {
        assert_eq!(ran.code, 2, "{ran:?}");
        assert!(ran.err.contains("--public-key"), "{ran:?}");
    }
    let with_key = ["--public-key", public.as_str()];
    assert_eq!(check(&forged, &with_key).code, 1);
    let forged_checkpoint = [&with_key[..], &["--checkpoint", &checkpoint]].concat();
    assert_eq!(verify(&db, &forged_checkpoint).code, 1);
    let trusting = check(&forged, &["--trust-key-in-checkpoint"]);
    assert_eq!(trusting.code, 0, "{trusting:?}");
    assert!(
        trusting
            .out
            .contains("compare it with the one that you were given"),
        "{trusting:?}"
    );
    let trusted = ["--trust-key-in-checkpoint", "--checkpoint", &checkpoint];
    assert_eq!(verify(&db, &trusted).code, 0);
    let both = [&with_key[..], &["--trust-key-in-checkpoint"]].concat();
    assert_eq!(check(&out, &both).code, 2);
    assert_eq!(verify(&db, &with_key).code, 2, "a key without a checkpoint");
}

#[tokio::test(flavor = "multi_thread")]
async fn log_with_a_wrong_beginning_or_missing_certificate_is_detected() {
    let off = "ALTER TABLE audit_logs DISABLE TRIGGER USER;";
    let on = "ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_actor; ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain;
              ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_append_only;
              ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_truncate";
    for (change, finding) in [
        ("DELETE FROM audit_logs", "is empty"),
        (
            "INSERT INTO audit_logs SELECT tenant_id, gen_random_uuid(), 0, actor_kind, actor, 'user.praise', subject, details,
                source, created_at, prev_hash, hash FROM audit_logs WHERE seq = 1",
            "tampered with: entry 1",
        ),
        (
            "INSERT INTO audit_logs SELECT tenant_id, gen_random_uuid(), -9223372036854775808, actor_kind, actor, 'user.praise',
                subject, details, source, created_at, prev_hash, hash FROM audit_logs WHERE seq = 1",
            "tampered with: entry 1",
        ),
        ("UPDATE audit_logs SET created_at = 'infinity' WHERE seq = 2", "tampered with: entry 2"),
        ("UPDATE tenants SET status = 'erased' WHERE slug = 'acme'", "no certificate"),
    ] {
        let db = TestDb::new().await;
        admin(&db, &["tenant", "create", "acme"]);
        // Without API keys, because a tenant with keys cannot get the status `erased`.
        admin(&db, &["tenant", "set", "acme", "--name", "Acme"]);
        assert_eq!(verify(&db, &[]).code, 0);
        let superuser = db.superuser().await;
        superuser.batch_execute(&format!("{off} {change}; {on}")).await.unwrap();
        for tenant in ["acme", "default"] {
            let ran = ended(&db, &["audit", "verify", "--tenant", tenant]);
            if tenant == "default" && change.contains("slug = 'acme'") {
                assert_eq!(ran.code, 0, "{ran:?}");
            } else if tenant == "acme" || change.starts_with("DELETE") {
                assert_eq!(ran.code, 1, "{change}: {ran:?}");
                assert!(ran.err.contains(finding), "{change}: {ran:?}");
            }
        }
    }
    let db = TestDb::new().await;
    acme(&db).await;
    super::rebuild_log(&db, 1).await;
    let rebuilt = verify(&db, &[]);
    assert_eq!(rebuilt.code, 1, "{rebuilt:?}");
    assert!(rebuilt.err.contains("begins with user.create"), "{rebuilt:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn verify_reports_every_changed_isolation_check() {
    for (change, finding) in [
        (
            "CREATE OR REPLACE FUNCTION erase_tenant(erased uuid) RETURNS TABLE (table_name text, row_count bigint)
             LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS 'SELECT ''users'', 0::bigint'",
            "erase_tenant",
        ),
        (
            "CREATE OR REPLACE FUNCTION current_tenant_id() RETURNS uuid LANGUAGE sql STABLE PARALLEL SAFE
             RETURN coalesce(nullif(current_setting('app.current_tenant_id', true), '')::uuid, gen_random_uuid())",
            "current_tenant_id",
        ),
        ("ALTER ROLE skillkeep_app IN DATABASE DB SET session_replication_role = replica", "session_replication_role"),
        ("ALTER TABLE users NO FORCE ROW LEVEL SECURITY", "users"),
    ] {
        let db = TestDb::new().await;
        admin(&db, &["tenant", "create", "acme"]);
        let change = change.replace("DATABASE DB", &format!("DATABASE {}", db.name));
        db.superuser().await.batch_execute(&change).await.unwrap();
        let ran = verify(&db, &[]);
        assert_eq!(ran.code, 1, "{change}: {ran:?}");
        assert!(ran.err.contains(finding), "{change}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unparseable_details_are_reported_and_do_not_stop_the_log() {
    for (details, excerpt) in [
        ("{\"x\": 1e999}".to_owned(), "0000000000"),
        (format!("{}1{}", "[".repeat(200), "]".repeat(200)), "[[[["),
    ] {
        let db = TestDb::new().await;
        let tenant = acme(&db).await;
        // Anyone with the server's role can insert such an entry.
        let client = skillkeep::db::connect_owner(&db.ways.server).await.unwrap();
        client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL app.current_tenant_id = '{tenant}';
                 INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject, details)
                 VALUES ('{tenant}', gen_random_uuid(), 'system', 'eve', 'scan.poison', 'x', '{details}'); COMMIT"
            ))
            .await
            .unwrap();
        admin(&db, &["tenant", "suspend", "acme"]);
        let found = verify(&db, &[]);
        assert_eq!(found.code, 1, "{found:?}");
        assert!(found.err.contains("not readable: 12"), "{found:?}");
        assert!(!found.err.contains("entry 12 does not follow"), "{found:?}");
        assert!(
            admin(&db, &["audit", "tail", "--tenant", "acme"])
                .out
                .contains(excerpt)
        );
        let log = admin(&db, &["audit", "tail", "--tenant", "acme", "--json"]).json_lines();
        assert_eq!(log.len(), 13);
        assert!(
            log[11]["details"].as_str().unwrap().contains(excerpt),
            "{}",
            log[11]
        );
        let folder = tempfile::tempdir().unwrap();
        let (key, public) = keygen(&folder, "audit.key");
        for format in ["jsonl", "cef"] {
            let out = path(&folder, format);
            export(&db, "acme", &out, &key, format);
            let text = std::fs::read_to_string(&out).unwrap();
            assert!(text.contains(excerpt));
            let ran = check(&out, &["--public-key", &public]);
            if format == "jsonl" {
                assert_eq!(ran.code, 1, "{ran:?}");
                assert!(
                    ran.err.contains("is the one that was signed") && ran.err.contains("not readable: 12"),
                    "{ran:?}"
                );
                // The parsed copy of the details cannot be replaced.
                let line = text.lines().nth(11).unwrap();
                std::fs::write(
                    &out,
                    text.replacen(line, &line.replacen("\"details\":null", "\"details\":{}", 1), 1),
                )
                .unwrap();
                let changed = check(&out, &["--public-key", &public]);
                assert!(changed.err.contains("line 12 does not follow"), "{changed:?}");
            } else {
                assert_eq!(ran.code, 0, "{ran:?}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn signed_cef_export_is_checked_without_the_chain() {
    let db = TestDb::new().await;
    acme(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = keygen(&folder, "audit.key");
    let out = path(&folder, "log.cef");
    export(&db, "acme", &out, &key, "cef");
    let with_key = ["--public-key", public.as_str()];
    let checked = check(&out, &with_key);
    assert_eq!(checked.code, 0, "{checked:?}");
    let acme = tenant_id(&db, "acme").await;
    for part in ["12 entries", "was not recomputed", &acme] {
        assert!(checked.out.contains(part), "{part}: {checked:?}");
    }
    assert_eq!(
        check(&out, &[&with_key[..], &["--json"]].concat()).json()["chain_recomputed"],
        false
    );
    let text = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let checkpoint = format!("{out}.checkpoint.json");
    for (change, text) in [
        (
            "a word is changed",
            text.replacen("user.suspend", "user.applaud", 1),
        ),
        ("the end is removed", lines[..11].join("\n") + "\n"),
        (
            "an entry is removed",
            [&lines[..4], &lines[5..]].concat().join("\n") + "\n",
        ),
        ("the file is empty", String::new()),
    ] {
        let copy = path(&folder, "copy.cef");
        std::fs::write(&copy, text).unwrap();
        let ran = check(&copy, &[&with_key[..], &["--checkpoint", &checkpoint]].concat());
        assert_eq!(ran.code, 1, "{change}: {ran:?}");
    }
    let (_, other) = keygen(&folder, "other.key");
    assert_eq!(check(&out, &["--public-key", &other]).code, 1);
    let other_tenant = ["--tenant-id", "01900000-0000-7000-8000-000000000001"];
    assert_eq!(check(&out, &[&with_key[..], &other_tenant].concat()).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn added_space_within_a_line_is_detected() {
    let db = TestDb::new().await;
    acme(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = keygen(&folder, "audit.key");
    let out = path(&folder, "log.jsonl");
    export(&db, "acme", &out, &key, "jsonl");
    let text = std::fs::read_to_string(&out).unwrap();
    std::fs::write(&out, text.replacen("\"seq\":3,", "\"seq\": 3,", 1)).unwrap();
    let ran = check(&out, &["--public-key", &public]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(
        ran.err.contains("the file is not the one that was signed"),
        "{ran:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn name_with_line_breaks_cannot_forge_an_exported_entry() {
    const FORGED: &str = "CEF:0|skillkeep|skillkeep|9|tenant.erase|tenant.erase|3|suser=eve";
    let db = TestDb::new().await;
    let name = format!("Acme\n{FORGED}\r\n{FORGED}\u{2028}|a=b\\ cs2=elsewhere \"quoted\"");
    admin(&db, &["tenant", "create", "acme", "--name", &name]);
    // The folder's name is stored as the source of the skill.
    let skills = tempfile::tempdir().unwrap();
    let evil = skills.path().join("a\nCEF:0|skillkeep cs2=x\\").join("tool");
    std::fs::create_dir_all(&evil).unwrap();
    std::fs::write(
        evil.join("SKILL.md"),
        "---\nname: tool\ndescription: Does it.\n---\n\n# Tool\n",
    )
    .unwrap();
    admin(
        &db,
        &["import", &skills.path().display().to_string(), "--tenant", "acme"],
    );
    let acme = tenant_id(&db, "acme").await;
    let folder = tempfile::tempdir().unwrap();
    let (key, _) = keygen(&folder, "audit.key");
    let (jsonl, cef) = (path(&folder, "log.jsonl"), path(&folder, "log.cef"));
    export(&db, "acme", &jsonl, &key, "jsonl");
    export(&db, "acme", &cef, &key, "cef");
    let text = std::fs::read_to_string(&jsonl).unwrap();
    let entries: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(entries.len(), 3);
    assert_eq!(entries[0]["details"]["after"]["name"], name.as_str());
    assert_eq!(entries[1]["action"], "skill.publish");
    assert!(
        entries[1]["details"]["after"]["source"]
            .as_str()
            .unwrap()
            .contains('\n'),
        "{}",
        entries[1]
    );
    let text = std::fs::read_to_string(&cef).unwrap();
    let lines: Vec<&str> = text.split(['\n', '\r']).filter(|line| !line.is_empty()).collect();
    assert_eq!(lines.len(), 4, "{text}");
    for line in lines {
        let parts: Vec<&str> = line.splitn(8, '|').collect();
        assert_eq!((parts[0], parts[1]), ("CEF:0", "skillkeep"), "{line}");
        assert!(!parts[4].contains("tenant.erase"), "{line}");
        // An unescaped equals sign would begin another field.
        let fields: Vec<&str> = parts[7]
            .split(' ')
            .filter(|word| word.starts_with("cs2="))
            .collect();
        assert_eq!(fields, [format!("cs2={acme}")], "{line}");
    }
}
