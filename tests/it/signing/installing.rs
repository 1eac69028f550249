//! What an install does with signatures: the first keys are accepted, a changed one stops it, and `verify` needs no network.

use std::fs;

use serde_json::json;
use skillkeep::tenancy::ApiKey;

use super::{Signed, publication};
use crate::command::{CommandOutput, program};
use crate::http_server::serve;

struct User {
    root: tempfile::TempDir,
    url: String,
    key: ApiKey,
}

impl User {
    async fn of(signed: &Signed) -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("home")).unwrap();
        fs::create_dir(root.path().join("shop")).unwrap();
        Self {
            root,
            url: format!("http://{}", serve(&signed.service()).await),
            key: signed.db.full_key(signed.tenant).await,
        }
    }

    fn run(&self, code: i32, arguments: &[&str]) -> CommandOutput {
        let mut command = program(arguments);
        command
            .current_dir(self.root.path().join("shop"))
            .env("HOME", self.root.path().join("home"))
            .env_remove("XDG_CONFIG_HOME")
            .env("SKILLKEEP_API_KEY", self.key.reveal());
        let output = CommandOutput::of(&mut command);
        assert_eq!(output.code, code, "{arguments:?}: {output:?}");
        output
    }

    fn with_url(&self, code: i32, arguments: &[&str]) -> CommandOutput {
        self.run(code, &[arguments, &["--url", &self.url]].concat())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn changed_signer_stops_an_install_until_it_is_accepted() {
    let signed = Signed::new().await;
    let first = signed.create_key();
    let client = signed.client().await;
    client
        .ok("publish_skill", publication("sort-tides", "One."))
        .await;
    let user = User::of(&signed).await;
    user.with_url(0, &["add", "sort-tides"]);
    let lock = fs::read_to_string(user.root.path().join("shop/skillkeep.lock")).unwrap();
    assert!(
        lock.contains(&format!("signer = \"{}\"", first.key_id())),
        "{lock}"
    );
    user.run(0, &["verify"]);

    // A new key, which signs from now on.
    let second = signed.create_key();
    client
        .ok("publish_skill", publication("sort-tides", "Two."))
        .await;
    let refused = user.with_url(4, &["update"]);
    assert!(refused.err.contains(&second.key_id().to_string()), "{refused:?}");
    assert!(refused.err.contains("skillkeep trust"), "{refused:?}");
    let skill_md = user.root.path().join("shop/.agents/skills/sort-tides/SKILL.md");
    assert!(fs::read_to_string(&skill_md).unwrap().contains("One."));
    let shown = user.with_url(1, &["trust"]);
    assert!(shown.out.contains(&format!("{second} (new)")), "{shown:?}");
    user.with_url(0, &["trust", "--yes"]);
    user.with_url(0, &["update"]);
    assert!(fs::read_to_string(&skill_md).unwrap().contains("Two."));
    user.run(0, &["verify"]);

    // A version without a signature is not accepted from a registry that signs.
    signed
        .db
        .superuser()
        .await
        .execute(
            "DELETE FROM version_signatures WHERE tenant_id = $1",
            &[signed.tenant.as_uuid()],
        )
        .await
        .unwrap();
    let refused = user.with_url(4, &["add", "sort-tides", "--force"]);
    assert!(refused.err.contains("is not signed"), "{refused:?}");

    // A change of the marker is found, because nobody else can sign it.
    let marker = user
        .root
        .path()
        .join("shop/.agents/skills/sort-tides/.skillkeep.json");
    let text = fs::read_to_string(&marker).unwrap();
    let version = serde_json::from_str::<serde_json::Value>(&text).unwrap()["version"].clone();
    fs::write(
        &marker,
        text.replace(&format!("\"version\": {version}"), "\"version\": \"99\""),
    )
    .unwrap();
    let verified = user.run(1, &["verify"]);
    assert!(
        verified.err.contains("signature of sort-tides 99 is not valid"),
        "{verified:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn assistant_is_told_of_a_changed_signer() {
    let signed = Signed::new().await;
    signed.create_key();
    let client = signed.client().await;
    client
        .ok("publish_skill", publication("sort-tides", "One."))
        .await;
    let user = User::of(&signed).await;
    user.with_url(0, &["add", "sort-tides", "--user"]);
    signed.create_key();
    client
        .ok("publish_skill", publication("sort-tides", "Two."))
        .await;
    let answer = user.with_url(
        1,
        &[
            "call",
            "--transport",
            "stdio",
            "install_skill",
            &json!({"skill": "sort-tides", "assistant": "codex", "location": "user"}).to_string(),
        ],
    );
    assert!(
        format!("{}{}", answer.out, answer.err).contains("skillkeep trust"),
        "{answer:?}"
    );
}
