//! `skillkeep import`: what becomes of the content of a skill (cases S1, S2, S3, S4 and S8 of issue 13, and their neighbours).

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use serde_json::{Value, json};

use crate::command::ended;
use crate::harness::{Client, TestDb};
use crate::import::{import, line, put, reason, skill_md};
use crate::import_sources::{codes, with_tenant};

fn messages(line: &Value) -> String {
    line["notes"].to_string()
}

/// The paths of a skill's latest version.
async fn files(db: &TestDb, slug: &str) -> Vec<String> {
    db.value(&format!(
        "SELECT array_agg(f.path ORDER BY f.path) FROM skill_files f
         JOIN skills s ON s.tenant_id = f.tenant_id AND s.latest_version_id = f.version_id WHERE s.slug = '{slug}'"
    ))
    .await
}

/// S1: an unquoted ` #` in a description.
#[tokio::test(flavor = "multi_thread")]
async fn description_is_stored_as_its_author_means_it() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let root = tempfile::tempdir().unwrap();
    let cases = [
        (
            "hash",
            "description: Posts to the #harbour channel when a ferry is late",
            "hash_in_text",
            "Posts to the #harbour channel when a ferry is late",
        ),
        (
            "colon",
            "description: Use when: a ferry is late",
            "not_yaml",
            "Use when: a ferry is late",
        ),
        ("at", "description: @harbour posts", "not_yaml", "@harbour posts"),
        (
            "folded",
            "description: > Posts to the harbour",
            "not_yaml",
            "Posts to the harbour",
        ),
        (
            "tab",
            "description:\tPosts to the harbour",
            "odd_character",
            "Posts to the harbour",
        ),
        (
            "smart",
            "description: “Posts” to the harbour",
            "",
            "“Posts” to the harbour",
        ),
        (
            "twice",
            "description: old\ndescription: Posts",
            "duplicate_key",
            "Posts",
        ),
        (
            "key",
            "Description: Posts to the harbour",
            "key_case",
            "Posts to the harbour",
        ),
        ("comment", "description: \"Posts\" # to the harbour", "", "Posts"),
    ];
    for (name, description, _, _) in cases {
        put(
            root.path(),
            &format!("{name}/SKILL.md"),
            format!("---\nname: {name}\n{description}\nlicense: MIT # see LICENSE\n---\nDo it.\n"),
        );
    }
    put(
        root.path(),
        "cr/SKILL.md",
        "---\rname: cr\rdescription: Posts: late\r---\rDo it.\r",
    );
    put(
        root.path(),
        "bom/SKILL.md",
        "\u{FEFF}--- \nname: bom\ndescription: Posts\n---\t\nDo it.\n",
    );
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!(ran.code, 0, "{ran:?}");
    for (name, _, code, description) in cases {
        let line = line(&lines, name);
        assert!(code.is_empty() || codes(line).contains(&code), "{name}: {line}");
        let stored: String = db
            .value(&format!("SELECT description FROM skills WHERE slug = '{name}'"))
            .await;
        assert_eq!(stored, description, "{name}");
        let license: String = db
            .value(&format!("SELECT license FROM skills WHERE slug = '{name}'"))
            .await;
        assert_eq!(license, "MIT", "{name}");
    }
    assert!(codes(line(&lines, "cr")).contains(&"carriage_returns"));
    assert!(codes(line(&lines, "bom")).contains(&"byte_order_mark"));
    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    let hits = client
        .ok("search_skills", json!({"query": "ferry late channel"}))
        .await;
    assert!(hits.to_string().contains("\"hash\""), "{hits}");
}

/// S2: a link to a folder with a skill.
#[tokio::test(flavor = "multi_thread")]
async fn linked_skill_is_imported_once_or_refused_by_name() {
    let db = with_tenant().await;
    let outside = tempfile::tempdir().unwrap();
    put(outside.path(), "SKILL.md", skill_md("outside", "Not ours."));
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "shelf/tide-tables/SKILL.md",
        skill_md("tide-tables", "Reads tides."),
    );
    put(root.path(), "common/guide.md", "guide");
    symlink("shelf/tide-tables", root.path().join("tide-tables")).unwrap();
    symlink("../../common", root.path().join("shelf/tide-tables/references")).unwrap();
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!((ran.code, lines.len()), (0, 1), "{ran:?}");
    assert_eq!(
        files(&db, "tide-tables").await,
        ["SKILL.md", "references/guide.md"]
    );

    symlink(outside.path(), root.path().join("elsewhere")).unwrap();
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!((ran.code, lines.len()), (1, 2), "{ran:?}");
    assert!(reason(&lines, "elsewhere").contains("leads out of the source"));
    assert!(ran.err.contains("1 refused"), "{}", ran.err);
    symlink("/etc/hostname", root.path().join("shelf/tide-tables/host")).unwrap();
    let (_, lines) = import(&db, root.path(), &[]);
    assert!(reason(&lines, "shelf/tide-tables").contains("tide-tables/host is a link"));
}

/// S3: skills below a folder that has its own `SKILL.md`.
#[tokio::test(flavor = "multi_thread")]
async fn skills_inside_a_skill_are_skills_of_their_own() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    put(
        root.path(),
        "SKILL.md",
        skill_md("orchard", "Cares for trees. See [pruning](prune-trees/SKILL.md)."),
    );
    put(
        root.path(),
        "prune-trees/SKILL.md",
        skill_md("prune-trees", "Prunes."),
    );
    put(root.path(), "prune-trees/saw.md", "saw");
    put(
        root.path(),
        "graft-scions/SKILL.md",
        skill_md("graft-scions", "Grafts."),
    );
    put(
        root.path(),
        "templates/new/SKILL.md",
        skill_md("new", "A template."),
    );
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!((ran.code, lines.len()), (0, 3), "{ran:?}");
    let outer = line(&lines, ".");
    assert!(
        messages(outer).contains("separate skills inside (2), whose files are no part of this one"),
        "{outer}"
    );
    assert_eq!(
        files(&db, "orchard").await,
        ["SKILL.md", "templates/new/SKILL.md"]
    );
    assert_eq!(files(&db, "prune-trees").await, ["SKILL.md", "saw.md"]);
}

fn with_secrets(root: &Path) {
    put(
        root,
        "deploy/SKILL.md",
        skill_md("deploy", "Deploys.") + "See [setup](setup.md).\n",
    );
    put(root, "deploy/.env", "DATABASE_PASSWORD=hunter2-harbour");
    put(root, "deploy/.env.example", "DATABASE_PASSWORD=");
    put(root, "deploy/id_rsa", "private");
    put(
        root,
        "deploy/scripts/notify.sh",
        ["KEY='AKIA", "ZQZQZQZQZQZQZQZQ'\n"].concat(),
    );
    put(
        root,
        "deploy/config/server.pem",
        ["-----BEGIN PRIVATE", "KEY-----"].join(" "),
    );
    put(root, "deploy/credentials.json", "{}");
    put(root, "deploy/node_modules/a/index.js", "1");
    put(root, "deploy/node_modules/b/index.js", "2");
    put(root, "deploy/.venv/pyvenv.cfg", "");
    put(root, "deploy/scripts/__pycache__/a.pyc", "");
    put(root, "deploy/dist/built.js", "");
    put(root, "deploy/.gitignore", "dist/\n.env\n");
    put(root, "deploy/scripts/run.sh", "#!/bin/sh\n");
}

/// S4: secrets, dependencies, caches and build output.
#[tokio::test(flavor = "multi_thread")]
async fn secrets_and_junk_are_neither_stored_nor_unmentioned() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    with_secrets(root.path());
    let (ran, lines) = import(&db, root.path(), &["--source", "ops"]);
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        files(&db, "deploy").await,
        [
            ".env.example",
            ".gitignore",
            "SKILL.md",
            "scripts/notify.sh",
            "scripts/run.sh"
        ]
    );
    let deploy = line(&lines, "deploy");
    for left_out in [
        "\\\".env\\\" was left out: it may hold secrets (environment file)",
        "\\\"id_rsa\\\" was left out",
        "\\\"config/server.pem\\\" was left out: it may hold secrets (private key)",
        "\\\"credentials.json\\\" was left out",
        "\\\"node_modules/\\\" (2 files) was left out: it holds installed dependencies",
        "\\\".venv/\\\" (1 file) was left out: it is a virtual environment",
        "\\\"scripts/__pycache__\\\" is not part of a skill",
        "\\\"dist/\\\" (1 file) was left out: a .gitignore file names it",
    ] {
        assert!(messages(deploy).contains(left_out), "{left_out} in {deploy}");
    }
    assert!(codes(deploy).contains(&"missing_files"), "{deploy}");
    let finding = &deploy["findings"][0];
    assert_eq!(
        (&finding["path"], &finding["line"]),
        (&json!("scripts/notify.sh"), &json!(1))
    );
    assert!(!ran.out.contains("hunter2") && !ran.err.contains("hunter2"));
    let stored: i64 = db
        .value("SELECT count(*) FROM blobs WHERE convert_from(bytes, 'UTF8') LIKE '%hunter2%'")
        .await;
    assert_eq!(stored, 0);

    let folder = root.path().to_str().unwrap();
    let text = ended(&db, &["import", folder, "--tenant", "acme", "--source", "ops"]);
    assert!(
        text.out.contains("\".env\" was left out") && text.err.contains("secret_file 1"),
        "{text:?}"
    );

    let (ran, _) = import(
        &db,
        root.path(),
        &[
            "--source",
            "ops",
            "--include",
            "dist/",
            "--include",
            "/deploy/node_modules/a",
        ],
    );
    assert_eq!(ran.code, 0, "{ran:?}");
    assert_eq!(
        files(&db, "deploy").await,
        [
            ".env.example",
            ".gitignore",
            "SKILL.md",
            "dist/built.js",
            "node_modules/a/index.js",
            "scripts/notify.sh",
            "scripts/run.sh"
        ]
    );
    let (ran, _) = import(&db, root.path(), &["--include", "!.env"]);
    assert_eq!(ran.code, 2, "{ran:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn ignored_folder_with_skills_is_reported() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    put(root.path(), ".gitignore", "drafts/\n");
    put(root.path(), ".skillignore", "old/\n");
    for name in ["kept", "drafts/one", "old/two", "node_modules/three"] {
        put(root.path(), &format!("{name}/SKILL.md"), skill_md("x", name));
    }
    let (ran, lines) = import(&db, root.path(), &[]);
    assert_eq!((ran.code, lines.len()), (0, 4), "{ran:?}");
    for (source, why) in [
        ("drafts", ".gitignore file names it"),
        ("old", ".skillignore file names it"),
        ("node_modules", "installed dependencies"),
    ] {
        let line = line(&lines, source);
        assert_eq!(line["outcome"], "left_out");
        assert!(line["reason"].as_str().unwrap().contains(why), "{line}");
    }
    let (_, lines) = import(&db, root.path(), &["--include", "drafts"]);
    assert_eq!(line(&lines, "drafts/one")["outcome"], "created");
}

/// S8: a name in another script.
#[tokio::test(flavor = "multi_thread")]
async fn name_in_another_script_keeps_name_and_slug() {
    for fix in [&[][..], &["--fix"]] {
        let db = with_tenant().await;
        let root = tempfile::tempdir().unwrap();
        let file = root.path().join("茶会/SKILL.md");
        let write = |body: &str| {
            put(
                root.path(),
                "茶会/SKILL.md",
                format!("---\nname: 茶会计划\ndescription: 计划茶会\ntags: [茶]\n---\n{body}\n"),
            )
        };
        write("一");
        let (_, first) = import(&db, root.path(), fix);
        write("二");
        let (ran, second) = import(&db, root.path(), fix);
        assert_eq!(ran.code, 0, "{ran:?}");
        assert_eq!(
            (&first[0]["outcome"], &second[0]["outcome"]),
            (&json!("created"), &json!("updated"))
        );
        assert_eq!(first[0]["skill"], "cha-hui-ji-hua");
        assert_eq!(second[0]["skill"], "cha-hui-ji-hua");
        assert!(
            messages(&second[0]).contains("its slug is cha-hui-ji-hua"),
            "{second:?}"
        );
        let name: String = db.value("SELECT name FROM skills").await;
        assert_eq!(name, "茶会计划");
        let front_matter: Value = serde_json::from_str(
            &db.value::<String>("SELECT front_matter::text FROM skill_versions LIMIT 1")
                .await,
        )
        .unwrap();
        assert_eq!(front_matter["name"], "茶会计划");
        assert!(fs::read_to_string(&file).unwrap().contains("tags: [茶]"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn names_without_letters_get_a_slug_that_edits_keep() {
    let db = with_tenant().await;
    let root = tempfile::tempdir().unwrap();
    for body in ["one", "two"] {
        put(
            root.path(),
            "…/SKILL.md",
            format!("---\nname: \"🙂🙃\"\ndescription: Smiles.\n---\n{body}\n"),
        );
        let (_, lines) = import(&db, root.path(), &["--fix"]);
        assert_eq!(lines[0]["skill"], "skill-acb7352fc092", "{lines:?}");
    }
}
