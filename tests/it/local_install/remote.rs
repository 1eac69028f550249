//! An agent with a shell and a remote registry: the offer over MCP, the files by the download, the confirmation over MCP.

use serde_json::{Value, json};
use skillkeep::ids::Digest;

use crate::harness::{Client, TestDb};
use crate::http_server::{call, post, serve};
use crate::methods::store;

#[tokio::test(flavor = "multi_thread")]
async fn agent_installs_over_http_with_the_download() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let skill_md = b"---\nname: tides\ndescription: Reads tide tables.\n---\n\nRead the table.\n";
    let large = b"A line of the table.\n".repeat(20_000);
    store(
        &db,
        acme,
        "tides",
        &[("SKILL.md", skill_md), ("table.txt", &large)],
    )
    .await;
    let key = db.full_key(acme).await;
    let at = serve(&db.service()).await;
    let tool = async |name: &str, arguments: Value| -> Value {
        let answer = post(at, &key, &call(1, name, &arguments)).send().await.unwrap();
        let answer: Value = answer.json().await.unwrap();
        answer["result"]["structuredContent"].clone()
    };
    let offer = tool(
        "install_skill",
        json!({"skill": "tides", "assistant": "cursor", "max_chars": 0}),
    )
    .await;
    let url = format!("http://{at}{}", offer["download"].as_str().unwrap());
    let response = reqwest::Client::new()
        .get(url)
        .bearer_auth(key.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let archive = response.bytes().await.unwrap();
    let files = agent_skills::read_archive_files(&archive).unwrap();
    assert_eq!(
        files.iter().map(|file| file.bytes.len()).sum::<usize>(),
        skill_md.len() + large.len()
    );
    let on_disk: Vec<Value> = files
        .iter()
        .map(|file| json!({"path": file.path.as_str(), "digest": Digest::of(&file.bytes).to_string()}))
        .collect();
    let confirm = json!({"install_id": offer["install_id"], "files": on_disk});
    assert_eq!(tool("confirm_install", confirm).await["state"], "confirmed");
    let check = json!({"installed": [{"skill": "tides", "digest": offer["digest"], "files": on_disk}]});
    assert_eq!(
        tool("check_installed", check.clone()).await["skills"][0]["state"],
        "current"
    );
    let admin = Client::connect(&db.service(), &key).await;
    admin
        .ok(
            "yank_skill",
            json!({"skill": "tides", "version": "1", "reason": "wrong harbour"}),
        )
        .await;
    assert_eq!(
        tool("check_installed", check).await["skills"][0]["reason"],
        "wrong harbour"
    );
    let events: Vec<String> = db.events(acme).await.into_iter().map(|(name, _)| name).collect();
    let expected = [
        "install_skill",
        "skills/download",
        "confirm_install",
        "check_installed",
        "yank_skill",
        "check_installed",
    ];
    assert_eq!(events, expected);
}
