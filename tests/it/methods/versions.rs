//! The content of a URI never changes: older versions stay readable, and a withdrawn version carries the reason.

use serde_json::json;
use skillkeep::ids::{Digest, TenantId};

use super::client::{TRANSPORTS, WireClient};
use super::{DIGEST, LISTS, VERSION, YANKED, all, reads, store, uri};
use crate::harness::TestDb;

async fn publish(db: &TestDb, tenant: TenantId, label: &str, text: &str) {
    let skill_md = format!(
        "---\nname: pdf\ndescription: Fills forms.\nmetadata:\n  version: \"{label}\"\n---\n\n{text}\n"
    );
    let files = [
        ("SKILL.md", skill_md.as_bytes()),
        ("docs/notes.md", text.as_bytes()),
    ];
    let stored = store(db, tenant, "pdf", &files).await;
    assert_eq!(stored.version, label);
}

async fn yank(db: &TestDb, version: &str, reason: &str) {
    let done = db
        .superuser()
        .await
        .execute(
            "UPDATE skill_versions SET status = 'yanked', yanked_at = now(), yank_reason = $2 WHERE version = $1",
            &[&version, &reason],
        )
        .await
        .unwrap();
    assert_eq!(done, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn older_version_stays_readable_and_lists_show_the_newest() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    for transport in TRANSPORTS {
        publish(&db, tenant, &format!("{transport:?}+1 ü"), "The first text.").await;
    }
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        let (old, new) = (format!("{transport:?}-1.0"), format!("{transport:?}-2.0"));
        publish(&db, tenant, &old, "The first text.").await;
        let mut before = Vec::new();
        for (method, params) in reads("pdf", &old) {
            before.push(client.ok(method, params).await);
        }
        assert_eq!(
            all(&mut client, LISTS[0]).await,
            [uri("pdf", &old, "SKILL.md")],
            "{transport:?}"
        );
        publish(&db, tenant, &new, "The second text.").await;
        for (number, (method, params)) in reads("pdf", &old).into_iter().enumerate() {
            assert_eq!(
                client.ok(method, params).await,
                before[number],
                "{transport:?} {method}"
            );
        }
        for list in [LISTS[0], LISTS[1]] {
            assert_eq!(all(&mut client, list).await, [uri("pdf", &new, "SKILL.md")]);
        }
        for (version, text) in [(&old, "The first text."), (&new, "The second text.")] {
            let uri = uri("pdf", version, "docs/notes.md");
            let read = client.ok("resources/read", json!({"uri": uri})).await;
            assert_eq!(read["contents"][0]["text"], text, "{transport:?}");
            let meta = &read["contents"][0]["_meta"];
            assert_eq!(meta[VERSION], version.as_str());
            let digest = Digest::of(text.as_bytes()).to_string();
            assert_eq!(meta[DIGEST], digest.as_str());
        }
        let latest = client.ok("prompts/get", json!({"name": "pdf"})).await;
        assert!(latest.to_string().contains("The second text."), "{latest}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_that_needs_encoding_gives_a_readable_uri() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    publish(&db, tenant, "1.0+ü (2)%", "The text.").await;
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for list in [LISTS[0], LISTS[1]] {
            let uris = all(&mut client, list).await;
            assert_eq!(uris, ["skill://pdf/1.0%2B%C3%BC%20%282%29%25/pdf/SKILL.md"]);
            let read = client.ok("resources/read", json!({"uri": uris[0]})).await;
            let contents = &read["contents"][0];
            assert!(contents["text"].as_str().unwrap().contains("The text."));
            assert_eq!(contents["_meta"][VERSION], "1.0+ü (2)%");
            client.ok("skills/get", json!({"uri": uris[0]})).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn label_unfit_for_uris_leaves_tools_and_prompts_only() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    publish(&db, tenant, "2026/1", "The text.").await;
    db.skill(tenant, "other", "Stays.", &[]).await;
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for list in [LISTS[0], LISTS[1]] {
            assert_eq!(all(&mut client, list).await, [uri("other", "1", "SKILL.md")]);
        }
        let shown = client
            .tool("get_skill", json!({"skill": "pdf", "file": "SKILL.md"}))
            .await;
        assert_eq!(shown["version"], "2026/1");
        let prompt = client.ok("prompts/get", json!({"name": "pdf"})).await;
        assert!(prompt.to_string().contains("The text."), "{prompt}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn withdrawn_version_is_unlisted_and_read_with_its_reason() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let (service, key) = (db.service(), db.full_key(tenant).await);
    publish(&db, tenant, "1.0", "The first text.").await;
    publish(&db, tenant, "2.0", "The second text.").await;
    db.skill(tenant, "other", "Stays.", &[]).await;
    let reason = "It deleted \"everything\".";
    yank(&db, "2.0", reason).await;
    for transport in TRANSPORTS {
        let mut client = WireClient::connect(&service, &key, transport).await;
        for list in LISTS {
            let shown = all(&mut client, list).await;
            assert!(
                !shown.iter().any(|name| name.contains("pdf")),
                "{transport:?}: {shown:?}"
            );
            assert!(
                shown.iter().any(|name| name.contains("other")),
                "{transport:?}: {shown:?}"
            );
        }
        for (version, yanked) in [("2.0", Some(reason)), ("1.0", None)] {
            let yanked = yanked.map_or(serde_json::Value::Null, serde_json::Value::from);
            let read = json!({"uri": uri("pdf", version, "SKILL.md")});
            let contents = client.ok("resources/read", read.clone()).await;
            assert_eq!(
                contents["contents"][0]["_meta"][YANKED], yanked,
                "{transport:?}: {contents}"
            );
            let skill = client.ok("skills/get", read).await;
            assert_eq!(skill["skill"]["_meta"][YANKED], yanked, "{transport:?}: {skill}");
            let folder = json!({"uri": format!("skill://pdf/{version}/pdf")});
            let children = client.ok("resources/directory/read", folder).await;
            assert_eq!(children["resources"].as_array().unwrap().len(), 2);
            let params = json!({"name": "pdf", "arguments": {"version": version}});
            let prompt = client.ok("prompts/get", params).await;
            let text = prompt["messages"][0]["content"]["text"].as_str().unwrap();
            assert_eq!(text.contains(reason), !yanked.is_null(), "{text}");
        }
    }
}
