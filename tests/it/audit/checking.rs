//! What an auditor is told of an export, a head or a log that somebody has prepared for him.

use serde_json::Value;

use super::{acme, check, path, verify};
use crate::command::{CommandOutput, admin, ended, program};
use crate::harness::TestDb;

/// A signing key's file and its public key.
fn keygen(folder: &tempfile::TempDir, name: &str) -> (String, String) {
    let file = path(folder, name);
    let public = CommandOutput::of(&mut program(&["audit", "keygen", &file]))
        .out
        .trim()
        .to_owned();
    (file, public)
}

fn export(db: &TestDb, tenant: &str, out: &str, key: &str, format: &str) {
    admin(
        db,
        &[
            "audit",
            "export",
            "--tenant",
            tenant,
            "--out",
            out,
            "--signing-key",
            key,
            "--format",
            format,
        ],
    );
}

async fn tenant_id(db: &TestDb, slug: &str) -> String {
    db.value(&format!("SELECT id::text FROM tenants WHERE slug = '{slug}'"))
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_or_a_head_of_another_tenant_is_not_taken_for_his() {
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
    let whole = check(&ours, &[&with_key[..], &["--tenant-id", &acme]].concat());
    assert_eq!(whole.code, 0, "{whole:?}");
    assert!(whole.out.contains(&acme), "{whole:?}");
    let told = check(&ours, &[&with_key[..], &["--json"]].concat()).json();
    assert_eq!(told["tenant_id"], acme.as_str());
    // Both are good each for itself; only whose they are tells them apart.
    assert_eq!(check(&theirs, &with_key).code, 0);
    let foreign = check(&theirs, &[&with_key[..], &["--tenant-id", &acme]].concat());
    assert_eq!(foreign.code, 1, "{foreign:?}");
    assert!(
        foreign.err.contains(&other) && foreign.err.contains(&acme),
        "{foreign:?}"
    );
    let head = format!("{theirs}.head.json");
    let mixed = check(&ours, &[&with_key[..], &["--head", &head]].concat());
    assert_eq!(mixed.code, 1, "{mixed:?}");
    assert!(mixed.err.contains("is the log of the tenant"), "{mixed:?}");
    let mixed = verify(&db, &[&with_key[..], &["--head", &head]].concat());
    assert_eq!(mixed.code, 1, "{mixed:?}");
    assert!(mixed.err.contains(&other), "{mixed:?}");
    let whole = verify(&db, &["--json"]).json();
    assert_eq!(whole["tenant_id"], acme.as_str());
    assert!(verify(&db, &[]).out.contains(&acme));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forger_who_signs_with_a_key_of_his_own_is_found() {
    let db = TestDb::new().await;
    acme(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = keygen(&folder, "audit.key");
    let (forgers, _) = keygen(&folder, "forger.key");
    let (out, forged) = (path(&folder, "log.jsonl"), path(&folder, "forged.jsonl"));
    export(&db, "acme", &out, &key, "jsonl");
    super::make_anew(&db, 6).await;
    export(&db, "acme", &forged, &forgers, "jsonl");
    let head = format!("{forged}.head.json");
    // Nobody takes the key that stands in the head without having said so.
    for silent in [check(&forged, &[]), verify(&db, &["--head", &head])] {
        assert_eq!(silent.code, 2, "{silent:?}");
        assert!(silent.err.contains("--public-key"), "{silent:?}");
    }
    let with_key = ["--public-key", public.as_str()];
    assert_eq!(check(&forged, &with_key).code, 1);
    assert_eq!(verify(&db, &[&with_key[..], &["--head", &head]].concat()).code, 1);
    let trusting = check(&forged, &["--trust-key-in-head"]);
    assert_eq!(trusting.code, 0, "{trusting:?}");
    assert!(
        trusting
            .out
            .contains("compare it with the one that you were given"),
        "{trusting:?}"
    );
    assert_eq!(verify(&db, &["--trust-key-in-head", "--head", &head]).code, 0);
    let both = [&with_key[..], &["--trust-key-in-head"]].concat();
    assert_eq!(check(&out, &both).code, 2);
    assert_eq!(verify(&db, &with_key).code, 2, "a key for no head");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_was_emptied_cut_at_its_beginning_or_begun_before_it_is_found() {
    let off = "ALTER TABLE audit_logs DISABLE TRIGGER USER;";
    let on = "ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain;
              ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_append_only;
              ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_truncate";
    for (deed, told) in [
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
        // A key in it would keep the tenant from being called erased.
        admin(&db, &["tenant", "set", "acme", "--name", "Acme"]);
        assert_eq!(verify(&db, &[]).code, 0);
        let superuser = db.superuser().await;
        superuser.batch_execute(&format!("{off} {deed}; {on}")).await.unwrap();
        for tenant in ["acme", "default"] {
            let ran = ended(&db, &["audit", "verify", "--tenant", tenant]);
            if tenant == "default" && deed.contains("slug = 'acme'") {
                assert_eq!(ran.code, 0, "{ran:?}");
            } else if tenant == "acme" || deed.starts_with("DELETE") {
                assert_eq!(ran.code, 1, "{deed}: {ran:?}");
                assert!(ran.err.contains(told), "{deed}: {ran:?}");
            }
        }
    }
    let db = TestDb::new().await;
    acme(&db).await;
    super::make_anew(&db, 1).await;
    let anew = verify(&db, &[]);
    assert_eq!(anew.code, 1, "{anew:?}");
    assert!(anew.err.contains("begins with user.create"), "{anew:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_wall_is_down_verify_tells_of_it() {
    for (deed, told) in [
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
        let deed = deed.replace("DATABASE DB", &format!("DATABASE {}", db.name));
        db.superuser().await.batch_execute(&deed).await.unwrap();
        let ran = verify(&db, &[]);
        assert_eq!(ran.code, 1, "{deed}: {ran:?}");
        assert!(ran.err.contains(told), "{deed}: {ran:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_entry_that_no_program_can_read_is_told_of_and_stops_nothing() {
    for (poison, seen) in [
        ("{\"x\": 1e999}".to_owned(), "0000000000"),
        (format!("{}1{}", "[".repeat(200), "]".repeat(200)), "[[[["),
    ] {
        let db = TestDb::new().await;
        let tenant = acme(&db).await;
        // As whoever has the server's role could.
        let client = skillkeep::db::connect_owner(&db.ways.server).await.unwrap();
        client
            .batch_execute(&format!(
                "BEGIN; SET LOCAL app.current_tenant_id = '{tenant}';
                 INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject, details)
                 VALUES ('{tenant}', gen_random_uuid(), 'system', 'eve', 'test.poison', 'x', '{poison}'); COMMIT"
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
                .contains(seen)
        );
        let log = admin(&db, &["audit", "tail", "--tenant", "acme", "--json"]).json_lines();
        assert_eq!(log.len(), 13);
        assert!(log[11]["details"].as_str().unwrap().contains(seen), "{}", log[11]);
        let folder = tempfile::tempdir().unwrap();
        let (key, public) = keygen(&folder, "audit.key");
        for format in ["jsonl", "cef"] {
            let out = path(&folder, format);
            export(&db, "acme", &out, &key, format);
            let text = std::fs::read_to_string(&out).unwrap();
            assert!(text.contains(seen));
            let ran = check(&out, &["--public-key", &public]);
            if format == "jsonl" {
                assert_eq!(ran.code, 1, "{ran:?}");
                assert!(
                    ran.err.contains("is the one that was signed") && ran.err.contains("not readable: 12"),
                    "{ran:?}"
                );
                // Nor can it be made out to say something else.
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
async fn a_signed_export_in_the_common_event_format_is_checked_as_far_as_it_can_be() {
    let db = TestDb::new().await;
    acme(&db).await;
    let folder = tempfile::tempdir().unwrap();
    let (key, public) = keygen(&folder, "audit.key");
    let out = path(&folder, "log.cef");
    export(&db, "acme", &out, &key, "cef");
    let with_key = ["--public-key", public.as_str()];
    let whole = check(&out, &with_key);
    assert_eq!(whole.code, 0, "{whole:?}");
    let acme = tenant_id(&db, "acme").await;
    for words in ["12 entries", "was not recomputed", &acme] {
        assert!(whole.out.contains(words), "{words}: {whole:?}");
    }
    assert_eq!(
        check(&out, &[&with_key[..], &["--json"]].concat()).json()["chain_recomputed"],
        false
    );
    let text = std::fs::read_to_string(&out).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    let head = format!("{out}.head.json");
    for (deed, changed) in [
        (
            "a word is changed",
            text.replacen("user.suspend", "user.applaud", 1),
        ),
        ("the end is cut off", lines[..11].join("\n") + "\n"),
        (
            "one is taken out",
            [&lines[..4], &lines[5..]].concat().join("\n") + "\n",
        ),
        ("nothing is left", String::new()),
    ] {
        let copy = path(&folder, "copy.cef");
        std::fs::write(&copy, changed).unwrap();
        let ran = check(&copy, &[&with_key[..], &["--head", &head]].concat());
        assert_eq!(ran.code, 1, "{deed}: {ran:?}");
    }
    let (_, other) = keygen(&folder, "other.key");
    assert_eq!(check(&out, &["--public-key", &other]).code, 1);
    let elses = ["--tenant-id", "01900000-0000-7000-8000-000000000001"];
    assert_eq!(check(&out, &[&with_key[..], &elses].concat()).code, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn white_space_within_a_line_is_found_though_the_chain_is_whole() {
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
async fn a_name_cannot_write_an_entry_of_its_own_into_an_export() {
    const FORGED: &str = "CEF:0|skillkeep|skillkeep|9|tenant.erase|tenant.erase|3|suser=eve";
    let db = TestDb::new().await;
    let name = format!("Acme\n{FORGED}\r\n{FORGED}\u{2028}|a=b\\ cs2=elsewhere \"quoted\"");
    admin(&db, &["tenant", "create", "acme", "--name", &name]);
    // A folder's name is the source of its skill.
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
        let head: Vec<&str> = line.splitn(8, '|').collect();
        assert_eq!((head[0], head[1]), ("CEF:0", "skillkeep"), "{line}");
        assert!(!head[4].contains("tenant.erase"), "{line}");
        // An equals sign that was not escaped begins a field: each is there once, and says what is true.
        let fields: Vec<&str> = head[7]
            .split(' ')
            .filter(|word| word.starts_with("cs2="))
            .collect();
        assert_eq!(fields, [format!("cs2={acme}")], "{line}");
    }
}
