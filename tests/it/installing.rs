//! `install_skill` in pages and by ranges of versions, and `check_installed`.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use skillkeep::ids::{Digest, TenantId};
use skillkeep::tenancy::Scope;

use crate::harness::{Client, TestDb};
use crate::methods::store;

/// Characters of the text of any answer.
const MAX_ANSWER_CHARS: usize = 100_000;

async fn setup() -> (TestDb, TenantId, Client) {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let client = Client::connect(&db.service(), &db.full_key(acme).await).await;
    (db, acme, client)
}

async fn answer(client: &Client, tool: &str, arguments: Value) -> Value {
    let result = client.call(tool, arguments).await.unwrap();
    assert_ne!(result.is_error, Some(true), "{result:?}");
    let text = &result.content[0].as_text().unwrap().text;
    let chars = text.chars().count();
    assert!(chars <= MAX_ANSWER_CHARS, "{tool}: {chars} characters");
    serde_json::from_str(text).unwrap()
}

/// The files of every page, put together as a client does.
async fn install_in_pages(
    client: &Client,
    mut arguments: Value,
) -> (BTreeMap<String, Vec<u8>>, usize, Value) {
    let mut files: BTreeMap<String, Vec<u8>> = BTreeMap::new();
    let mut first = Value::Null;
    for number in 1.. {
        let page = answer(client, "install_skill", arguments.clone()).await;
        for piece in page["files"].as_array().unwrap() {
            let content = piece["content"].as_str().unwrap();
            let bytes = match piece["encoding"].as_str().unwrap() {
                "utf-8" => content.as_bytes().to_vec(),
                _ => BASE64.decode(content).unwrap(),
            };
            let file = files
                .entry(piece["path"].as_str().unwrap().to_owned())
                .or_default();
            assert_eq!(piece["offset"].as_u64().unwrap_or_default(), file.len() as u64);
            file.extend(bytes);
            if piece.get("continues").is_none() {
                assert_eq!(Digest::of(file).to_string(), piece["digest"].as_str().unwrap());
            }
        }
        if first.is_null() {
            first = page.clone();
        }
        assert_eq!(page["install_id"], first["install_id"]);
        match page.get("next_cursor") {
            Some(cursor) => arguments["cursor"] = cursor.clone(),
            None => return (files, number, first),
        }
    }
    unreachable!()
}

fn skill_md(version: &str, text: &str) -> Vec<u8> {
    named("tides", version, text)
}

fn named(name: &str, version: &str, text: &str) -> Vec<u8> {
    format!("---\nname: {name}\ndescription: Reads tide tables.\nmetadata:\n  version: \"{version}\"\n---\n\n{text}\n").into_bytes()
}

#[tokio::test(flavor = "multi_thread")]
async fn large_skill_comes_in_pages_byte_for_byte() {
    let (db, acme, client) = setup().await;
    let mut files = vec![("SKILL.md".to_owned(), skill_md("1.0", "Read the table."))];
    for number in 0..400 {
        let folder = "long-name-of-a-folder/".repeat(30);
        files.push((
            format!("{folder}{number}.txt"),
            format!("File {number}\n").into_bytes(),
        ));
    }
    files.push(("control.txt".to_owned(), b"\x01 line\n".repeat(9_000)));
    files.push(("empty.txt".to_owned(), Vec::new()));
    files.push((
        "noise.bin".to_owned(),
        (0..200_000_u32).flat_map(u32::to_le_bytes).collect(),
    ));
    files.push((
        "umlauts.txt".to_owned(),
        "\u{1F30A}\u{e4}\"\\\n".repeat(20_000).into_bytes(),
    ));
    let borrowed: Vec<(&str, &[u8])> = files
        .iter()
        .map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
        .collect();
    store(&db, acme, "tides", &borrowed).await;

    for max_chars in [None, Some(1), Some(80_000)] {
        // With one character a page, only the small files, or the test would take a day.
        if max_chars == Some(1) {
            let first = answer(
                &client,
                "install_skill",
                json!({"skill": "tides", "assistant": "codex", "max_chars": 1}),
            )
            .await;
            assert_eq!(first["files"].as_array().unwrap().len(), 1);
            assert!(first["next_cursor"].is_string());
            continue;
        }
        let mut arguments = json!({"skill": "tides", "assistant": "codex"});
        if let Some(max_chars) = max_chars {
            arguments["max_chars"] = json!(max_chars);
        }
        let events_before = db.events(acme).await.len();
        let (installed, pages, first) = install_in_pages(&client, arguments).await;
        assert!(pages > 10, "{pages}");
        assert_eq!(first["files"][0]["path"], "SKILL.md");
        assert_eq!(installed, files.iter().cloned().collect());
        assert_eq!(db.events(acme).await.len() - events_before, pages);
        let on_disk: Vec<Value> = installed
            .iter()
            .map(|(path, bytes)| json!({"path": path, "digest": Digest::of(bytes).to_string()}))
            .collect();
        let confirm = json!({"install_id": first["install_id"], "files": on_disk});
        assert_eq!(
            answer(&client, "confirm_install", confirm).await["state"],
            "confirmed"
        );
        // Every path is wrong: the answer lists as many as fit, and counts the rest.
        let wrong: Vec<Value> = (0..512)
            .map(|number| json!({"path": format!("{number}{}", "x".repeat(1000)), "digest": Digest::of(b"").to_string()}))
            .collect();
        let confirm = json!({"install_id": first["install_id"], "files": wrong});
        let mismatched = answer(&client, "confirm_install", confirm).await;
        assert_eq!(mismatched["state"], "mismatched");
        assert!(mismatched["not_listed"].as_u64().unwrap() > 100, "{mismatched}");
    }
    let none = answer(
        &client,
        "install_skill",
        json!({"skill": "tides", "assistant": "codex", "max_chars": 0}),
    )
    .await;
    assert_eq!((none.get("files"), none.get("next_cursor")), (None, None));
    assert_eq!(none["file_count"], files.len());
    assert_eq!(none["download"], "/skills/tides/1.0.zip");
    assert_eq!(none["command"], "skillkeep add tides@1.0 --for codex");

    let installs: i64 = db
        .superuser()
        .await
        .query_one(
            "SELECT count(*) FROM installs WHERE tenant_id = $1",
            &[acme.as_uuid()],
        )
        .await
        .unwrap()
        .get(0);
    assert_eq!(installs, 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn cursor_continues_only_the_callers_own_install() {
    let (db, acme, client) = setup().await;
    let globex = db.tenant("globex").await;
    let long = b"A line.\n".repeat(20_000);
    for tenant in [acme, globex] {
        store(
            &db,
            tenant,
            "tides",
            &[("SKILL.md", &skill_md("1", "x")), ("long.txt", &long)],
        )
        .await;
    }
    let install = json!({"skill": "tides", "assistant": "codex"});
    let first = answer(&client, "install_skill", install).await;
    let next = |cursor: &Value| json!({"skill": "tides", "assistant": "codex", "cursor": cursor});

    let theirs = Client::connect(&db.service(), &db.full_key(globex).await).await;
    let refused = theirs.error("install_skill", next(&first["next_cursor"])).await;
    assert!(refused.contains("not valid for this list"), "{refused}");
    let colleague = db.key(acme, "colleague@example.com", &Scope::ALL).await.1;
    let colleague = Client::connect(&db.service(), &colleague).await;
    let refused = colleague
        .error("install_skill", next(&first["next_cursor"]))
        .await;
    assert!(refused.contains("no install of yours"), "{refused}");
    let refused = client.error("install_skill", next(&json!("bm90aGluZw"))).await;
    assert!(refused.contains("not valid for this list"), "{refused}");

    // A version that is withdrawn between two pages is not handed out further.
    client
        .ok(
            "yank_skill",
            json!({"skill": "tides", "version": "1", "reason": "wrong tides"}),
        )
        .await;
    let refused = client.error("install_skill", next(&first["next_cursor"])).await;
    assert!(refused.contains("wrong tides"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn range_chooses_the_highest_version_that_may_be_installed() {
    let (db, acme, client) = setup().await;
    for version in ["1.2.0", "1.10.0", "1.11.0", "2.0.0", "2.1.0-beta.1"] {
        store(&db, acme, "tides", &[("SKILL.md", &skill_md(version, version))]).await;
    }
    client
        .ok(
            "yank_skill",
            json!({"skill": "tides", "version": "1.11.0", "reason": "x"}),
        )
        .await;
    for (range, version) in [
        ("^1.2", "1.10.0"),
        ("~1.2", "1.2.0"),
        ("1.x", "1.10.0"),
        (">=1, <2", "1.10.0"),
        ("*", "2.0.0"),
        ("latest", "2.0.0"),
        (">=2.1.0-beta.1", "2.1.0-beta.1"),
        ("1.2.0", "1.2.0"),
    ] {
        let install = json!({"skill": "tides", "assistant": "agents", "version": range});
        assert_eq!(
            client.ok("install_skill", install).await["version"],
            version,
            "{range}"
        );
    }
    // Another content with the same declared version.
    store(&db, acme, "tides", &[("SKILL.md", &skill_md("2.0.0", "changed"))]).await;
    let install = json!({"skill": "tides", "assistant": "agents", "version": "*"});
    let again = client.ok("install_skill", install).await["version"].clone();
    assert_ne!(again, "2.0.0");
    let check = json!({"installed": [{"skill": "tides", "version": "2.0.0"}]});
    assert_eq!(
        client.ok("check_installed", check).await["skills"][0]["update_to"],
        again
    );
    let install = json!({"skill": "tides", "assistant": "agents", "version": "^3"});
    let refused = client.error("install_skill", install).await;
    assert!(refused.contains("no version \"^3\""), "{refused}");
    assert!(refused.contains("2.0.0"), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn check_names_what_is_outdated_edited_withdrawn_or_unknown() {
    let (db, acme, client) = setup().await;
    for version in ["1.0", "1.1", "1.2"] {
        store(&db, acme, "tides", &[("SKILL.md", &skill_md(version, version))]).await;
    }
    client
        .ok(
            "yank_skill",
            json!({"skill": "tides", "version": "1.1", "reason": "wrong tides"}),
        )
        .await;
    store(
        &db,
        acme,
        "old-tides",
        &[("SKILL.md", &named("old-tides", "1", "old"))],
    )
    .await;
    client
        .ok("update_skill", json!({"skill": "old-tides", "action": "archive"}))
        .await;
    store(
        &db,
        acme,
        "bad-tides",
        &[("SKILL.md", &named("bad-tides", "1", "bad"))],
    )
    .await;
    db.superuser()
        .await
        .execute(
            "UPDATE skill_versions v SET quarantined = true FROM skills s
             WHERE s.id = v.skill_id AND s.tenant_id = $1 AND s.slug = 'bad-tides'",
            &[acme.as_uuid()],
        )
        .await
        .unwrap();
    let globex = db.tenant("globex").await;
    store(
        &db,
        globex,
        "only-theirs",
        &[("SKILL.md", &named("only-theirs", "1", "x"))],
    )
    .await;
    let right = Digest::of(&skill_md("1.2", "1.2")).to_string();
    let wrong = Digest::of(b"edited").to_string();
    let manifest = client
        .ok(
            "install_skill",
            json!({"skill": "tides", "assistant": "codex", "version": "1.0"}),
        )
        .await;

    let check = json!({"installed": [
        {"skill": "tides", "version": "1.2", "files": [{"path": "SKILL.md", "digest": right}]},
        {"skill": "tides", "version": "1.0"},
        {"skill": "tides", "digest": manifest["digest"]},
        {"skill": "tides", "version": "1.1"},
        {"skill": "tides", "version": "1.2", "files": [{"path": "SKILL.md", "digest": wrong}, {"path": "mine.md", "digest": wrong}]},
        {"skill": "tides", "version": "1.2", "digest": wrong},
        {"skill": "tides", "version": "7"},
        {"skill": "tides"},
        {"skill": "old-tides", "version": "1"},
        {"skill": "bad-tides", "version": "1"},
        {"skill": "only-theirs", "version": "1"},
        {"skill": "nothing", "version": "1"},
    ]});
    let checked = answer(&client, "check_installed", check).await;
    let states: Vec<&str> = checked["skills"]
        .as_array()
        .unwrap()
        .iter()
        .map(|skill| skill["state"].as_str().unwrap())
        .collect();
    assert_eq!(
        states,
        [
            "current",
            "outdated",
            "outdated",
            "yanked",
            "drifted",
            "drifted",
            "unknown",
            "current",
            "archived",
            "quarantined",
            "unknown",
            "unknown"
        ]
    );
    assert_eq!(checked["skills"][1]["update_to"], "1.2");
    assert_eq!(checked["skills"][2]["version"], "1.0");
    assert_eq!(checked["skills"][3]["reason"], "wrong tides");
    assert_eq!(checked["skills"][3]["update_to"], "1.2");
    assert_eq!(checked["skills"][4]["changed"], json!(["SKILL.md"]));
    assert_eq!(checked["skills"][4]["unexpected"], json!(["mine.md"]));
    assert_eq!(
        checked["skills"][10],
        json!({"skill": "only-theirs", "version": "1", "state": "unknown"})
    );

    let paths: Vec<Value> = (0..512)
        .map(|number| json!({"path": format!("{number}{}", "x".repeat(1000)), "digest": wrong}))
        .collect();
    let many: Vec<Value> = (0..20)
        .map(|_| json!({"skill": "tides", "version": "1.2", "files": paths}))
        .collect();
    let checked = answer(&client, "check_installed", json!({"installed": many})).await;
    assert!(
        checked["skills"][19]["not_listed"].as_u64().unwrap() > 400,
        "{checked}"
    );
    let refused = client.error("check_installed", json!({})).await;
    assert!(refused.contains("`installed` is missing"), "{refused}");
}
