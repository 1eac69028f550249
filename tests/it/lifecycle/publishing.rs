//! Versions: semantic or counted, immutable, the highest release is the latest.

use base64::Engine as _;
use serde_json::json;

use crate::command::admin;

use super::{Team, files, publish, skill_md};

#[tokio::test(flavor = "multi_thread")]
async fn published_skill_is_found_and_installed_byte_for_byte() {
    let team = Team::new().await;
    let logo = [0_u8, 255, 13, 10, 7];
    let text = skill_md("sort-tides", Some("1.0"), "Run [the script](scripts/sort.sh).");
    let published = team
        .author
        .ok(
            "publish_skill",
            json!({"files": [
                {"path": "SKILL.md", "text": text},
                {"path": "scripts/sort.sh", "text": "#!/bin/sh\nsort\n", "executable": true},
                {"path": "assets/logo.bin",
                 "base64": base64::engine::general_purpose::STANDARD.encode(logo)},
            ], "note": "First version."}),
        )
        .await;
    assert_eq!(
        (
            &published["skill"],
            &published["version"],
            &published["state"],
            &published["outcome"]
        ),
        (
            &json!("sort-tides"),
            &json!("1.0"),
            &json!("published"),
            &json!("created")
        )
    );
    assert_eq!(team.found("tide tables").await, ["sort-tides"]);
    let installed = team
        .other
        .ok(
            "install_skill",
            json!({"skill": "sort-tides", "assistant": "codex"}),
        )
        .await;
    let files = installed["files"].as_array().unwrap();
    let file = |path: &str| files.iter().find(|file| file["path"] == path).unwrap();
    assert_eq!(file("SKILL.md")["content"], text);
    assert_eq!(file("scripts/sort.sh")["executable"], true);
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(file("assets/logo.bin")["content"].as_str().unwrap())
        .unwrap();
    assert_eq!(bytes, logo);
    assert_eq!(team.audited().await, ["skill.publish"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn latest_is_the_highest_release_and_not_the_last_upload() {
    let team = Team::new().await;
    for (version, latest) in [
        ("1.9", "1.9"),
        ("1.10", "1.10"),
        ("1.9.1", "1.10"),
        ("2.0.0-beta.1", "1.10"),
        ("2.0.0", "2.0.0"),
    ] {
        publish(&team.author, "sort-tides", Some(version), version).await;
        let skill = team.other.ok("get_skill", json!({"skill": "sort-tides"})).await;
        assert_eq!(skill["version"], latest, "after {version}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_are_counted_when_the_author_names_none() {
    let team = Team::new().await;
    for expected in ["1", "2", "3"] {
        let published = publish(&team.author, "sort-tides", None, expected).await;
        assert_eq!(published["version"], expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn same_bytes_change_nothing_and_same_version_with_other_bytes_is_refused() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", Some("1.0"), "One.").await;
    publish(&team.author, "sort-tides", Some("1.1"), "Two.").await;
    let again = publish(&team.author, "sort-tides", Some("1.0"), "One.").await;
    assert_eq!(
        (&again["outcome"], &again["version"]),
        (&json!("unchanged"), &json!("1.0"))
    );
    for version in ["1.0", "1.0.0", "v1.0"] {
        let refused = team
            .author
            .error(
                "publish_skill",
                json!({"files": files("sort-tides", Some(version), "Other."), "version": version}),
            )
            .await;
        assert!(
            refused.contains("version 1.0 of \"sort-tides\" already exists"),
            "{refused}"
        );
    }
    let versions: i64 = team.db.value("SELECT count(*) FROM skill_versions").await;
    assert_eq!(versions, 2);
    let events: i64 = team
        .db
        .value("SELECT count(*) FROM usage_events WHERE tool = 'publish_skill' AND outcome = 'tool_error'")
        .await;
    assert_eq!(events, 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn text_that_is_no_version_is_refused() {
    let team = Team::new().await;
    let refused = team
        .author
        .error(
            "publish_skill",
            json!({"files": files("sort-tides", Some("latest build!"), "x")}),
        )
        .await;
    assert!(
        refused.contains("\"latest build!\" is not a version"),
        "{refused}"
    );
    let refused = team
        .author
        .error(
            "publish_skill",
            json!({"files": files("sort-tides", None, "x"), "version": "latest build!"}),
        )
        .await;
    assert!(
        refused.contains("\"latest build!\" is not a version"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_publications_of_one_version_store_one() {
    let team = Team::new().await;
    let publications = (0..6).map(|number| {
        let text = format!("Text {number}.");
        let client = &team.author;
        async move {
            client
                .call(
                    "publish_skill",
                    json!({"files": files("sort-tides", Some("1.0"), &text)}),
                )
                .await
                .unwrap()
                .is_error
        }
    });
    let outcomes = futures::future::join_all(publications).await;
    let stored = outcomes
        .iter()
        .filter(|is_error| **is_error != Some(true))
        .count();
    assert_eq!(stored, 1, "{outcomes:?}");
    let versions: i64 = team.db.value("SELECT count(*) FROM skill_versions").await;
    assert_eq!(versions, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn name_of_another_owner_is_taken() {
    let team = Team::new().await;
    publish(&team.author, "sort-tides", None, "One.").await;
    let refused = team
        .other
        .error(
            "publish_skill",
            json!({"files": files("sort-tides", None, "Mine.")}),
        )
        .await;
    assert!(
        refused.contains("taken by a skill that is not yours"),
        "{refused}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_files_are_refused_with_path_and_rule() {
    let team = Team::new().await;
    let text = skill_md("sort-tides", None, "x");
    for (files, expected) in [
        (json!([{"path": "notes.md", "text": "x"}]), "SKILL.md"),
        (json!([{"path": "SKILL.md", "text": ""}]), "SKILL.md is empty"),
        (
            json!([{"path": "../SKILL.md", "text": text}]),
            "invalid path \"../SKILL.md\"",
        ),
        (
            json!([{"path": "SKILL.md", "text": text}, {"path": "a", "text": "1"}, {"path": "A", "text": "2"}]),
            "are the same name",
        ),
        (json!([{"path": "SKILL.md"}]), "needs either `text` or `base64`"),
        (
            json!([{"path": "SKILL.md", "base64": "!"}]),
            "is not valid Base64",
        ),
    ] {
        let refused = team.author.error("publish_skill", json!({"files": files})).await;
        assert!(refused.contains(expected), "{expected}: {refused}");
    }
    let skills: i64 = team.db.value("SELECT count(*) FROM skills").await;
    assert_eq!(skills, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn secrets_are_left_out_and_named() {
    let team = Team::new().await;
    let published = team
        .author
        .ok(
            "publish_skill",
            json!({"files": [
                {"path": "SKILL.md", "text": skill_md("sort-tides", None, "x")},
                {"path": ".env", "text": "PASSWORD=hunter2\n"},
                {"path": "node_modules/a/index.js", "text": "x"},
            ]}),
        )
        .await;
    let notes = published["notes"].to_string();
    assert!(
        notes.contains(".env") && notes.contains("node_modules"),
        "{notes}"
    );
    let stored: i64 = team.db.value("SELECT count(*) FROM skill_files").await;
    assert_eq!(stored, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn upload_without_a_folder_has_no_note_about_a_folder() {
    let team = Team::new().await;
    let published = publish(&team.author, "sort-tides", None, "One.").await;
    assert!(!published["notes"].to_string().contains("folder"), "{published}");
}

#[tokio::test(flavor = "multi_thread")]
async fn full_storage_refuses_new_files_until_some_are_purged() {
    let team = Team::new().await;
    team.set(skillkeep::registry::settings::SettingKey::StorageLimit, "1")
        .await;
    let large = |name: &str, byte: &str| {
        json!({"files": [
            {"path": "SKILL.md", "text": skill_md(name, None, "Run it.")},
            {"path": "assets/data.txt", "text": byte.repeat(600_000)},
        ]})
    };
    let stored = "SELECT stored_bytes - (SELECT sum(octet_length(bytes)) FROM blobs b WHERE b.tenant_id = t.id)::bigint
                  FROM tenants t WHERE slug = 'acme'";
    team.author.ok("publish_skill", large("sort-tides", "a")).await;
    // The same bytes again, in another version, take no more storage.
    team.author.ok("publish_skill", large("sort-tides", "a")).await;
    assert_eq!(team.db.value::<i64>(stored).await, 0);
    let refused = team.author.error("publish_skill", large("sort-waves", "b")).await;
    assert!(refused.contains("storage.max_mib"), "{refused}");
    assert_eq!(
        team.db
            .value::<i64>("SELECT count(*) FROM skills WHERE slug = 'sort-waves'")
            .await,
        0
    );
    admin(
        &team.db,
        &[
            "skill",
            "purge",
            "sort-tides",
            "--reason",
            "full",
            "--tenant",
            "acme",
            "--confirm",
            "sort-tides",
        ],
    );
    assert_eq!(
        team.db
            .value::<i64>("SELECT stored_bytes FROM tenants WHERE slug = 'acme'")
            .await,
        0
    );
    team.author.ok("publish_skill", large("sort-waves", "b")).await;
    assert_eq!(team.db.value::<i64>(stored).await, 0);
}
