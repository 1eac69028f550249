//! `skillkeep import`: sources and what tells them apart (cases S5, S6, S7, S9 and S13 of issue 13, and their neighbours).

use std::fs;

use serde_json::{Value, json};

use crate::harness::{Client, TestDb};
use crate::import::{import, line, put, reason, skill_md, state};

pub(crate) async fn with_tenant() -> TestDb {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    db
}

pub(crate) fn codes(line: &Value) -> Vec<&str> {
    let notes = line["notes"].as_array().unwrap();
    notes.iter().map(|note| note["code"].as_str().unwrap()).collect()
}

pub(crate) fn outcomes(lines: &[Value]) -> Vec<(&str, &str, &str)> {
    lines
        .iter()
        .map(|line| {
            (
                line["outcome"].as_str().unwrap(),
                line["skill"].as_str().unwrap_or(""),
                line["version"].as_str().unwrap_or(""),
            )
        })
        .collect()
}

/// S5: two folders that are not one source.
#[tokio::test(flavor = "multi_thread")]
async fn two_sources_never_overwrite_each_others_skill() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "team-a/roast-coffee/SKILL.md",
        skill_md("roast-coffee", "Light."),
    );
    put(
        root.path(),
        "team-b/roast-coffee/SKILL.md",
        skill_md("roast-coffee", "Dark."),
    );
    let (a, b) = (root.path().join("team-a"), root.path().join("team-b"));
    assert_eq!(
        outcomes(&import(&db, &a, &[]).1),
        [("created", "roast-coffee", "1")]
    );
    assert_eq!(
        outcomes(&import(&db, &b, &[]).1),
        [("created", "team-b-roast-coffee", "1")]
    );
    assert_eq!(
        outcomes(&import(&db, &a, &[]).1),
        [("unchanged", "roast-coffee", "1")]
    );
    assert_eq!(
        outcomes(&import(&db, &b, &[]).1),
        [("unchanged", "team-b-roast-coffee", "1")]
    );
    put(&b, "roast-coffee/SKILL.md", skill_md("roast-coffee", "Darker."));
    assert_eq!(
        outcomes(&import(&db, &b, &[]).1),
        [("updated", "team-b-roast-coffee", "2")]
    );
    let description: String = db
        .value("SELECT description FROM skills WHERE slug = 'roast-coffee'")
        .await;
    assert_eq!(description, "Light.");
}

#[tokio::test(flavor = "multi_thread")]
async fn named_source_is_one_source_wherever_it_lies() {
    let db = with_tenant().await;
    let one = tempfile::tempdir().unwrap();
    let other = tempfile::tempdir().unwrap();
    put(one.path(), "a/SKILL.md", skill_md("a", "One."));
    put(other.path(), "a/SKILL.md", skill_md("a", "Two."));
    let named = ["--source", "house"];
    assert_eq!(
        outcomes(&import(&db, one.path(), &named).1),
        [("created", "a", "1")]
    );
    assert_eq!(
        outcomes(&import(&db, other.path(), &named).1),
        [("updated", "a", "2")]
    );
    // Checkouts of one repository, wherever they lie and however they were cloned.
    for (root, remote) in [
        (&one, "git@host:team/skills.git"),
        (&other, "https://me:secret@host/team/skills"),
    ] {
        put(
            root.path(),
            ".git/config",
            format!("[remote \"origin\"]\n\turl = {remote}\n"),
        );
        put(root.path(), "b/SKILL.md", skill_md("b", remote));
    }
    assert_eq!(
        outcomes(&import(&db, one.path(), &[]).1)[1],
        ("created", "b", "1")
    );
    let (ran, lines) = import(&db, other.path(), &[]);
    assert_eq!(outcomes(&lines)[1], ("updated", "b", "2"));
    assert!(
        ran.err.contains("Source: host/team/skills\n") && !ran.err.contains("secret"),
        "{}",
        ran.err
    );
    let names: Vec<String> = db
        .value("SELECT array_agg(DISTINCT source_name ORDER BY source_name) FROM skills")
        .await;
    assert_eq!(names, ["host/team/skills", "house"]);
    let (ran, _) = import(&db, one.path(), &["--source", ""]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

/// S6: two skills of one name in one import.
#[tokio::test(flavor = "multi_thread")]
async fn name_that_is_taken_is_reported_and_mended_by_fix() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "team-a/roast-coffee/SKILL.md",
        skill_md("roast-coffee", "Light."),
    );
    put(
        root.path(),
        "team-b/roast-coffee/SKILL.md",
        skill_md("roast-coffee", "Dark."),
    );
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(codes(line(&lines, "team-a/roast-coffee")).is_empty());
    let second = line(&lines, "team-b/roast-coffee");
    assert_eq!(second["skill"], "team-b-roast-coffee");
    assert_eq!(codes(second), ["name_not_slug"]);
    let (_, dry) = import(&db, root.path(), &["--fix", "--dry-run"]);
    let (_, fixed) = import(&db, root.path(), &["--fix"]);
    assert_eq!(dry, fixed);
    assert_eq!(outcomes(&fixed)[1], ("updated", "team-b-roast-coffee", "2"));
    assert!(
        codes(&fixed[1]).is_empty() && fixed[1]["fixed"] == true,
        "{fixed:?}"
    );
    let text: String = db
        .value(
            "SELECT convert_from(b.bytes, 'UTF8') FROM skills s
             JOIN skill_files f ON f.tenant_id = s.tenant_id AND f.version_id = s.latest_version_id
             JOIN blobs b ON b.tenant_id = f.tenant_id AND b.digest = f.digest WHERE s.slug = 'team-b-roast-coffee'",
        )
        .await;
    assert!(
        text.starts_with("---\nname: team-b-roast-coffee\ndescription: Dark.\n---\n"),
        "{text}"
    );
    assert_eq!(
        outcomes(&import(&db, root.path(), &["--fix"]).1)[1].0,
        "unchanged"
    );
}

/// S7: a tree of Claude plugins.
#[tokio::test(flavor = "multi_thread")]
async fn plugin_gives_prefix_version_and_tags() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "plugins/paint/skills/review/SKILL.md",
        skill_md("review", "Reviews paint."),
    );
    put(
        root.path(),
        "plugins/rigging/skills/review/SKILL.md",
        skill_md("review", "Reviews ropes."),
    );
    put(
        root.path(),
        "plugins/rigging/.claude-plugin/plugin.json",
        r#"{"name":"rigging","version":"2.3.0","keywords":["sail"]}"#,
    );
    put(
        root.path(),
        ".claude-plugin/marketplace.json",
        r#"{"name":"yard","owner":{"name":"x"},"plugins":[{"name":"paint","source":"./plugins/paint","version":"0.9","category":"Hull"}]}"#,
    );
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        outcomes(&lines),
        [
            ("created", "review", "0.9"),
            ("created", "rigging-review", "2.3.0")
        ]
    );
    let tags: Vec<String> = db
        .value("SELECT tags FROM skills WHERE slug = 'rigging-review'")
        .await;
    assert_eq!(tags, ["sail"]);
    let category: String = db
        .value("SELECT category FROM skills WHERE slug = 'review'")
        .await;
    assert_eq!(category, "Hull");
    assert_eq!(
        outcomes(&import(&db, root.path(), &[]).1),
        [
            ("unchanged", "review", "0.9"),
            ("unchanged", "rigging-review", "2.3.0")
        ]
    );
    put(
        root.path(),
        "plugins/rigging/.claude-plugin/plugin.json",
        "{broken",
    );
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert!(codes(&lines[1]).contains(&"unusable_manifest"), "{lines:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn lock_files_give_version_and_origin() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "hub/SKILL.md", skill_md("hub", "From ClawHub."));
    put(
        root.path(),
        "hub/.clawhub/origin.json",
        r#"{"registry":"https://clawhub.ai","slug":"hub","installedVersion":"1.4.0","fingerprint":"ab"}"#,
    );
    put(
        root.path(),
        "lock/SKILL.md",
        skill_md("lock", "From a repository."),
    );
    put(
        root.path(),
        "skills-lock.json",
        r#"{"version":1,"skills":{"lock":{"source":"a/b","sourceUrl":"https://t0ken@host/a/b","sourceType":"git","ref":"v2","computedHash":"cd"}}}"#,
    );
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!(
        outcomes(&lines),
        [("created", "hub", "1.4.0"), ("created", "lock", "1")]
    );
    assert!(
        ran.out
            .contains("installed from https://host/a/b as lock, revision v2, hash cd"),
        "{}",
        ran.out
    );
    assert!(!ran.out.contains("t0ken"));
    let paths: i64 = db
        .value("SELECT count(*) FROM skill_files WHERE path LIKE '.clawhub%'")
        .await;
    assert_eq!(paths, 0);
}

/// S9: versions are ordered by their numbers, not by the time of the upload.
#[tokio::test(flavor = "multi_thread")]
async fn older_version_is_stored_but_never_the_latest() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    let write = |version: &str, text: &str| {
        put(
            root.path(),
            "a/SKILL.md",
            format!("---\nname: a\ndescription: d\nmetadata:\n  version: \"{version}\"\n---\n{text}\n"),
        );
    };
    write("1.9", "old");
    assert_eq!(
        outcomes(&import(&db, root.path(), &[]).1),
        [("created", "a", "1.9")]
    );
    write("1.10", "new");
    assert_eq!(
        outcomes(&import(&db, root.path(), &[]).1),
        [("updated", "a", "1.10")]
    );
    write("1.9", "old");
    let before = state(&db).await;
    assert_eq!(
        outcomes(&import(&db, root.path(), &[]).1),
        [("unchanged", "a", "1.9")]
    );
    assert_eq!(state(&db).await, before);
    write("1.9.1", "late");
    let (_, lines) = import(&db, root.path(), &[]);
    assert_eq!(outcomes(&lines), [("updated", "a", "1.9.1")]);
    assert_eq!(lines[0]["latest"], false);
    write("latest build!", "x");
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!(ran.code, 1, "{ran:?}");
    assert!(reason(&lines, "a").contains("is not a version"), "{lines:?}");
    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    let install = client
        .ok("install_skill", json!({"skill": "a", "assistant": "codex"}))
        .await;
    assert_eq!(install["version"], "1.10", "{install}");
}

/// S13: a skill that is no longer in the source.
#[tokio::test(flavor = "multi_thread")]
async fn departed_skill_is_reported_and_pruned_on_request() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    for name in ["kept", "gone", "below/unreadable"] {
        put(
            root.path(),
            &format!("{name}/SKILL.md"),
            skill_md(name.rsplit('/').next().unwrap(), "X."),
        );
    }
    let other = tempfile::tempdir().unwrap();
    put(other.path(), "elsewhere/SKILL.md", skill_md("elsewhere", "X."));
    import(&db, other.path(), &[]);
    import(&db, root.path(), &[]);
    fs::remove_dir_all(root.path().join("gone")).unwrap();
    put(root.path(), "below/unreadable/SKILL.md", "");
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!(ran.code, 1, "a skill was refused: {ran:?}");
    assert_eq!(outcomes(&lines)[2], ("departed", "gone", ""));
    let before = state(&db).await;
    let (_, lines) = import(&db, root.path(), &["--prune", "--dry-run"]);
    assert_eq!(outcomes(&lines)[2], ("archived", "gone", ""));
    assert_eq!(state(&db).await, before);
    let (ran, lines) = import(&db, root.path(), &["--prune"]);
    assert_eq!(outcomes(&lines)[2], ("archived", "gone", ""));
    assert!(ran.err.contains("1 archived"), "{}", ran.err);
    let archived: Vec<String> = db
        .value("SELECT array_agg(slug) FROM skills WHERE status = 'archived'")
        .await;
    assert_eq!(archived, ["gone"]);
    let (_, lines) = import(&db, root.path(), &["--prune"]);
    assert_eq!(lines.len(), 2, "archived once: {lines:?}");
    put(root.path(), "gone/SKILL.md", skill_md("gone", "X."));
    let (_, lines) = import(&db, root.path(), &[]);
    assert!(
        lines.iter().any(|line| line["reason"]
            .as_str()
            .is_some_and(|reason| reason.contains("skill restore gone"))),
        "{lines:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_folder_prunes_nothing() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    put(root.path(), "a/SKILL.md", skill_md("a", "X."));
    import(&db, root.path(), &[]);
    fs::remove_dir_all(root.path().join("a")).unwrap();
    let (ran, lines) = import(&db, root.path(), &["--prune"]);
    assert_eq!((ran.code, lines.len()), (3, 0), "{ran:?}");
    let archived: i64 = db
        .value("SELECT count(*) FROM skills WHERE status = 'archived'")
        .await;
    assert_eq!(archived, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn dry_run_reports_what_the_import_then_does() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    for (folder, name) in [("x/a", "a"), ("y/a", "a"), ("z/b", "b")] {
        put(root.path(), &format!("{folder}/SKILL.md"), skill_md(name, folder));
    }
    put(root.path(), "bad/SKILL.md", "");
    put(root.path(), "z/b/.env", "X=y");
    let before = state(&db).await;
    let (dry, planned) = import(&db, root.path(), &["--dry-run"]);
    assert_eq!(state(&db).await, before);
    assert!(dry.err.contains("dry run: nothing was stored"), "{}", dry.err);
    let (ran, done) = import(&db, root.path(), &[]);
    assert_eq!((dry.code, ran.code), (1, 1));
    assert_eq!(planned, done);
    assert_ne!(state(&db).await, before);
}
