//! All files of a skill can be found from its entry in a list, with the same bytes and digests everywhere.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use percent_encoding::percent_decode_str;
use rmcp::model::{
    ReadResourceDirectoryRequestParams, ReadResourceRequestParams, ResourceContents, SkillResources,
};
use serde_json::{Value, json};
use skillkeep::ids::{Digest, TenantId};

use super::client::{TRANSPORTS, Transport, WireClient};
use super::{DIGEST, LISTS, all, reads, store, uri};
use crate::harness::{Client, TestDb};

const SKILL_MD: &str = "---\nname: field-notes\ndescription: Takes notes in the field.\nmetadata:\n  tags: birds\n---\n\n# Field notes\n\nCafé, 空.\n";

/// Path, bytes, media type, and whether it is sent as text.
const FILES: [(&str, &[u8], &str, bool); 16] = [
    ("SKILL.md", SKILL_MD.as_bytes(), "text/markdown", true),
    ("LICENSE", b"Do as you like.\n", "text/plain", true),
    (
        "assets/logo.png",
        b"\x89PNG\r\n\x1a\n\0\0\xff",
        "image/png",
        false,
    ),
    ("assets/has-nul.txt", b"a\0b", "text/plain", false),
    (
        "assets/unknown.zzz",
        b"\xff\xfe\0",
        "application/octet-stream",
        false,
    ),
    ("docs/100% sure & more.md", b"percent", "text/markdown", true),
    ("docs/a b  c.txt", b"spaces", "text/plain", true),
    ("docs/plus+sign#hash;semi.txt", b"reserved", "text/plain", true),
    (
        "docs/Übersicht – größe.md",
        "ä\u{1F980}".as_bytes(),
        "text/markdown",
        true,
    ),
    ("docs/空/文.json", b"{\"a\": 1}", "application/json", true),
    ("empty.txt", b"", "text/plain", true),
    ("lines.csv", b"a,b\r\nc,d\r\r\n", "text/csv", true),
    ("marked.md", b"\xef\xbb\xbfmarked", "text/markdown", true),
    ("old.txt", b"caf\xe9", "text/plain", false),
    ("scripts/deep/er/tool.py", b"print(1)\n", "text/x-python", true),
    ("scripts/run.sh", b"#!/bin/sh\n", "text/x-shellscript", true),
];

async fn with_files() -> (TestDb, TenantId) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let files: Vec<(&str, &[u8])> = FILES.iter().map(|(path, bytes, ..)| (*path, *bytes)).collect();
    store(&db, tenant, "field-notes", &files).await;
    (db, tenant)
}

const FOLDER: &str = "skill://field-notes/1/field-notes";

/// The decoded path in the URI of a file.
fn path_of(uri: &str) -> String {
    let path = uri.strip_prefix(FOLDER).unwrap().strip_prefix('/').unwrap();
    percent_decode_str(path).decode_utf8().unwrap().into_owned()
}

/// The entries of all files below a folder by URI, found with `resources/directory/read`.
async fn list_files(client: &mut WireClient, folder: &str) -> BTreeMap<String, Value> {
    let mut files = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        let page = client
            .ok("resources/directory/read", json!({"uri": folder}))
            .await;
        let entries = page["resources"].as_array().unwrap();
        assert!(!entries.is_empty(), "{folder}");
        for entry in entries {
            let uri = entry["uri"].as_str().unwrap().to_owned();
            if entry["mimeType"] == "inode/directory" {
                folders.push(uri);
            } else {
                assert_eq!(files.insert(uri, entry.clone()), None);
            }
        }
    }
    files
}

/// The bytes of a resource, and whether they were sent as text.
fn bytes(contents: &Value) -> (Vec<u8>, bool) {
    match (contents["text"].as_str(), contents["blob"].as_str()) {
        (Some(text), None) => (text.as_bytes().to_vec(), true),
        (None, Some(blob)) => (BASE64.decode(blob).unwrap(), false),
        _ => panic!("expected either text or blob: {contents}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_file_is_reachable_and_has_the_published_bytes() {
    let (db, tenant) = with_files().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let listed = client.ok("resources/list", json!({})).await;
        let skill_md = listed["resources"][0]["uri"].as_str().unwrap();
        let root = skill_md.strip_suffix("/SKILL.md").unwrap();
        assert_eq!(root, FOLDER);
        let found = list_files(&mut client, root).await;
        let mut seen = BTreeMap::new();
        for (uri, entry) in &found {
            let path = path_of(uri);
            let read = client.ok("resources/read", json!({"uri": uri})).await;
            assert_eq!(read["contents"].as_array().unwrap().len(), 1);
            let contents = &read["contents"][0];
            assert_eq!(contents["uri"], uri.as_str());
            let (bytes, is_text) = bytes(contents);
            let digest = Digest::of(&bytes).to_string();
            for item in [entry, contents] {
                assert_eq!(item["_meta"][DIGEST], digest.as_str(), "{item}");
            }
            assert_eq!(entry["size"], bytes.len(), "{entry}");
            assert_eq!(entry["name"], path.rsplit('/').next().unwrap(), "{entry}");
            let media_type = contents["mimeType"].as_str().unwrap().to_owned();
            // A directory entry has a media type only if the file extension determines it.
            assert!(entry["mimeType"].is_null() || entry["mimeType"] == media_type.as_str());
            seen.insert(path, (bytes, media_type, is_text));
        }
        let published: BTreeMap<_, _> = FILES
            .iter()
            .map(|(path, bytes, media_type, is_text)| {
                (
                    (*path).to_owned(),
                    (bytes.to_vec(), (*media_type).to_owned(), *is_text),
                )
            })
            .collect();
        assert_eq!(seen, published, "{transport:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn digest_of_a_file_is_the_same_everywhere() {
    let (db, tenant) = with_files().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let show = json!({"skill": "field-notes", "digests": true});
        let shown = client.tool("get_skill", show).await;
        let install = json!({"skill": "field-notes", "assistant": "folder"});
        let installed = client.tool("install_skill", install).await;
        let got = client
            .ok("skills/get", json!({"uri": format!("{FOLDER}/SKILL.md")}))
            .await;
        let listed = client.ok("skills/list", json!({})).await;
        assert_eq!(listed["skills"], json!([got["skill"]]));
        let by_path = |files: &Value| -> BTreeMap<String, (String, i64)> {
            let files = files.as_array().unwrap().iter();
            files
                .map(|file| {
                    let path = match (file["path"].as_str(), file["uri"].as_str()) {
                        (Some(path), _) => path.to_owned(),
                        (None, uri) => path_of(uri.unwrap()),
                    };
                    let digest = file.get("digest").unwrap_or(&file["_meta"][DIGEST]);
                    let digest = digest.as_str().unwrap().to_owned();
                    (path, (digest, file["size"].as_i64().unwrap()))
                })
                .collect()
        };
        let published: BTreeMap<_, _> = FILES
            .iter()
            .map(|(path, bytes, ..)| {
                let size = i64::try_from(bytes.len()).unwrap();
                ((*path).to_owned(), (Digest::of(bytes).to_string(), size))
            })
            .collect();
        let in_folders: Value = list_files(&mut client, FOLDER).await.into_values().collect();
        for files in [
            &shown["files"],
            &installed["files"],
            &got["skill"]["resources"],
            &in_folders,
        ] {
            assert_eq!(by_path(files), published, "{transport:?}");
        }
        assert_eq!(shown["digest"], installed["digest"]);
        // The tool says name and description once, beside the front matter.
        assert_eq!(shown["front_matter"], json!({"metadata": {"tags": "birds"}}));
        for field in ["name", "description"] {
            assert_eq!(got["skill"]["frontmatter"][field], shown[field]);
        }
        assert_eq!(
            got["skill"]["frontmatter"],
            json!({"name": "field-notes", "description": "Takes notes in the field.", "metadata": {"tags": "birds"}})
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn strict_client_accepts_skills_and_file_digests() {
    let (db, tenant) = with_files().await;
    let client = Client::connect(&db.service(), &db.full_key(tenant).await).await;
    let skills = client.service.list_all_skills().await.unwrap();
    assert_eq!(skills.len(), 1);
    skills[0].validate().unwrap();
    let SkillResources::Files(files) = &skills[0].resources else {
        panic!("{skills:?}");
    };
    assert_eq!(files.len(), FILES.len());
    for file in files {
        let read = ReadResourceRequestParams::new(file.uri.clone());
        let read = client.service.read_resource(read).await.unwrap();
        let bytes = match &read.contents[0] {
            ResourceContents::TextResourceContents { text, .. } => text.clone().into_bytes(),
            ResourceContents::BlobResourceContents { blob, .. } => BASE64.decode(blob).unwrap(),
            other => panic!("{other:?}"),
        };
        file.verify(&bytes).unwrap();
    }
    let directory = ReadResourceDirectoryRequestParams::new(FOLDER);
    let children = client.service.read_resource_directory(directory).await.unwrap();
    let names: Vec<(&str, bool)> = children
        .resources
        .iter()
        .map(|child| (child.name.as_str(), child.is_directory()))
        .collect();
    assert_eq!(
        names,
        [
            ("LICENSE", false),
            ("SKILL.md", false),
            ("assets", true),
            ("docs", true),
            ("empty.txt", false),
            ("lines.csv", false),
            ("marked.md", false),
            ("old.txt", false),
            ("scripts", true)
        ]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_of_2026_07_28_have_cache_scope_and_ttl() {
    let (db, tenant) = with_files().await;
    let mut client =
        WireClient::connect(&db.service(), &db.full_key(tenant).await, Transport::Http2026).await;
    let lists =
        ["tools/list", "resources/templates/list", "server/discover"].map(|method| (method, json!({})));
    let lists = lists.into_iter().chain(LISTS.map(|list| (list.0, json!({}))));
    let reads = reads("field-notes", "1");
    for (method, params) in lists.chain(reads) {
        let result = client.ok(method, params).await;
        assert_eq!(result["resultType"], "complete", "{method}");
        if method != "prompts/get" {
            assert_eq!(result["cacheScope"], "private", "{method}: {result}");
            assert!(
                result["ttlMs"].as_u64().is_some_and(|ttl| ttl > 0),
                "{method}: {result}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_spellings_of_a_uri_are_not_found() {
    let (db, tenant) = with_files().await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let not_found = if transport == Transport::Http2026 {
            -32_602
        } else {
            -32_002
        };
        for uri in [
            FOLDER,
            "skill://field-notes/1/field-notes/docs",
            "skill://field-notes/1/field-notes/SKILL.md/",
            "skill://field-notes/1/field-notes/skill.md",
            "skill://field-notes/1/field-notes/docs/../SKILL.md",
            "skill://field-notes/1/field-notes/docs/%2e%2e/SKILL.md",
            "skill://field-notes/1/field-notes/%53KILL.md",
            "skill://field-notes/1/field-notes//SKILL.md",
            "skill://field-notes/1/field-notes/SKILL.md?x=1",
            "skill://field-notes/1/field-notes/SKILL.md%00",
            "skill://field-notes/1/field-notes/docs%2F100%25%20sure%20%26%20more.md",
            "skill://field-notes/1/another-name/SKILL.md",
            "skill://Field-Notes/1/field-notes/SKILL.md",
            "skill://field-notes/01/field-notes/SKILL.md",
            "skill://field-notes/field-notes/SKILL.md",
            "file:///etc/passwd",
            "/etc/passwd",
            "skill://",
            "",
        ] {
            let error = client.error("resources/read", json!({"uri": uri})).await;
            assert_eq!(error["code"], not_found, "{transport:?} {uri}: {error}");
            assert_eq!(error["data"]["uri"], uri, "{transport:?}: {error}");
            assert!(
                error["message"].as_str().unwrap().contains("resources/list"),
                "{error}"
            );
        }
        for uri in [
            uri("field-notes", "1", "SKILL.md"),
            uri("field-notes", "1", "nothing"),
            uri("field-notes", "1", "doc"),
            uri("field-notes", "1", "docs//"),
            "skill://field-notes/1".to_owned(),
            "skill://field-notes".to_owned(),
        ] {
            let error = client
                .error("resources/directory/read", json!({"uri": uri}))
                .await;
            assert_eq!(error["code"], -32_602, "{transport:?} {uri}: {error}");
        }
        for uri in [FOLDER.to_owned(), uri("field-notes", "1", "LICENSE")] {
            let error = client.error("skills/get", json!({"uri": uri})).await;
            assert_eq!(error["code"], -32_602, "{transport:?} {uri}: {error}");
        }
    }
}

/// Folders whose `SKILL.md` violates the extension: folder, front matter, slug, name in the URI.
const NONCONFORMING: [(&str, &str, &str, &str); 5] = [
    (
        "Loud-Name",
        "name: Loud-Name\ndescription: In capitals.",
        "loud-name",
        "Loud-Name",
    ),
    (
        "spaced",
        "name: Two Words\ndescription: With a space.",
        "spaced",
        "Two%20Words",
    ),
    ("numbered", "name: 7\ndescription: No text.", "7", "7"),
    ("nameless", "description: Without a name.", "nameless", "nameless"),
    (
        "doubled",
        "name: a--b\ndescription: Two hyphens.",
        "doubled",
        "a--b",
    ),
];

#[tokio::test(flavor = "multi_thread")]
async fn skill_violating_the_extension_is_missing_only_in_skills_list() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "good", "Follows the rules.", &[]).await;
    db.skill(tenant, "zealous", "Follows them, too.", &[]).await;
    for (folder, front_matter, slug, _) in NONCONFORMING {
        let skill_md = format!("---\n{front_matter}\n---\n\nText of {folder}.\n");
        let stored = store(&db, tenant, folder, &[("SKILL.md", skill_md.as_bytes())]).await;
        assert_eq!(stored.slug, slug);
    }
    let (service, key) = (db.service(), db.full_key(tenant).await);
    let strict = Client::connect(&service, &key).await;
    let names: Vec<String> = strict
        .service
        .list_all_skills()
        .await
        .unwrap()
        .iter()
        .map(|skill| skill.name().to_owned())
        .collect();
    assert_eq!(names, ["good", "zealous"]);
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let kept = [uri("good", "1", "SKILL.md"), uri("zealous", "1", "SKILL.md")];
        assert_eq!(all(&mut client, LISTS[0]).await, kept, "{transport:?}");
        let resources = all(&mut client, LISTS[1]).await;
        let prompts = all(&mut client, LISTS[2]).await;
        assert_eq!((resources.len(), prompts.len()), (7, 9), "{transport:?}");
        for (folder, _, slug, name) in NONCONFORMING {
            let uri = format!("skill://{slug}/1/{name}/SKILL.md");
            assert!(resources.contains(&uri), "{uri}: {resources:?}");
            let read = client.ok("resources/read", json!({"uri": uri})).await;
            let text = read["contents"][0]["text"].as_str().unwrap();
            assert!(text.ends_with(&format!("Text of {folder}.\n")), "{text}");
            let error = client.error("skills/get", json!({"uri": uri})).await;
            assert_eq!(error["code"], -32_602, "{error}");
            assert!(prompts.iter().any(|prompt| prompt == slug), "{slug}: {prompts:?}");
            client.tool("get_skill", json!({"skill": slug})).await;
        }
    }
}
