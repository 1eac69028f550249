//! Every error text of tools and methods as a client receives it.
//!
//! Unit tests beside `ToolError` and `MethodError` fail if one of those has a text without a snapshot. This test adds the texts
//! of the service around them.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::{CallLimits, Scope, Scopes};

use super::client::{Transport, WireClient};
use super::{KeyLimits, reads, uri};
use crate::harness::TestDb;
use crate::helpers::InjectedFault;
use crate::outcomes::fixture::FaultyTenant;

/// The text of a failed request: of the tool error, or the code and message of the JSON-RPC error.
async fn error_text(client: &mut WireClient, method: &str, params: Value) -> String {
    match client.request(method, params).await.result {
        Ok(result) => {
            assert_eq!(result["isError"], true, "{method}: {result}");
            result["content"][0]["text"].as_str().unwrap().to_owned()
        }
        Err(error) => format!("{} {}", error["code"], error["message"].as_str().unwrap()),
    }
}

/// The cases of a snapshot, each with its error text.
#[derive(Default)]
struct Texts(String);

impl Texts {
    async fn add(&mut self, client: &mut WireClient, case: &str, method: &str, params: Value) {
        let text = error_text(client, method, params).await;
        writeln!(self.0, "{case}\n    {text}").unwrap();
    }

    async fn add_call(&mut self, client: &mut WireClient, case: &str, tool: &str, arguments: Value) {
        let params = json!({"name": tool, "arguments": arguments});
        self.add(client, case, "tools/call", params).await;
    }
}

fn get_pdf() -> Value {
    json!({"skill": "pdf"})
}

fn read_pdf() -> Value {
    reads("pdf", "1")[0].1.clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_requests_match_their_snapshot() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "pdf", "Fills forms.", &[("logo.png", b"\x89PNG\xff")])
        .await;
    let key = db.full_key(tenant).await;
    let client = &mut WireClient::connect(&db.service(), &key, Transport::InMemory).await;
    let install = json!({"skill": "pdf", "assistant": "folder"});
    let install_id = client.tool("install_skill", install).await["install_id"].clone();
    let digest = format!("sha256:{}", "0".repeat(64));
    let files = |files: &[(&str, &str)]| -> Value {
        files
            .iter()
            .map(|(path, digest)| json!({"path": path, "digest": digest}))
            .collect()
    };
    let report = |outcome: &str| json!({"skill": "pdf", "outcome": outcome, "idempotency_key": "run-42"});
    client.tool("record_usage", report("helped")).await;
    let missing_install = "0190b2c4-5d6e-7f80-9a1b-2c3d4e5f6071";
    let mut texts = Texts::default();
    for (case, tool, arguments) in [
        ("unknown skill", "get_skill", json!({"skill": "docx"})),
        (
            "unknown version",
            "install_skill",
            json!({"skill": "pdf", "version": "9", "assistant": "codex"}),
        ),
        (
            "unknown file",
            "get_skill",
            json!({"skill": "pdf", "file": "a.md"}),
        ),
        (
            "binary file",
            "get_skill",
            json!({"skill": "pdf", "file": "logo.png"}),
        ),
        (
            "unknown install",
            "confirm_install",
            json!({"install_id": missing_install, "files": files(&[("a", &digest)])}),
        ),
        (
            "install_id is no UUID",
            "confirm_install",
            json!({"install_id": "x".repeat(36), "files": files(&[("a", &digest)])}),
        ),
        (
            "invalid digest",
            "confirm_install",
            json!({"install_id": install_id, "files": files(&[("a", "sha256:x")])}),
        ),
        (
            "duplicate file",
            "confirm_install",
            json!({"install_id": install_id, "files": files(&[("a", &digest), ("a", &digest)])}),
        ),
        ("reused idempotency key", "record_usage", report("failed")),
        ("unknown argument", "search_skills", json!({"querry": "pdf"})),
        ("missing argument", "get_skill", json!({})),
        ("wrong type", "search_skills", json!({"limit": "ten"})),
        (
            "unknown choice",
            "record_usage",
            json!({"skill": "pdf", "outcome": "great"}),
        ),
        ("number outside its range", "usage_report", json!({"days": 0})),
        (
            "text too long",
            "search_skills",
            json!({"query": "x".repeat(2001)}),
        ),
        (
            "text in a list too long",
            "confirm_install",
            json!({"install_id": install_id, "files": files(&[("a", &digest), (&"x".repeat(1025), &digest)])}),
        ),
        ("NUL character", "search_skills", json!({"query": "a\u{0}b"})),
        ("invalid cursor", "search_skills", json!({"cursor": "x"})),
        ("unknown tool", "drop_tables", json!({})),
    ] {
        texts.add_call(client, case, tool, arguments).await;
    }
    let template = json!({"type": "ref/resource", "uri": "skill://{skill}/{version}/{name}/{+path}"});
    let prompt = json!({"type": "ref/prompt", "name": "pdf"});
    let argument = json!({"name": "colour", "value": ""});
    for (case, method, params) in [
        ("call without a name", "tools/call", json!({})),
        (
            "unknown resource",
            "resources/read",
            json!({"uri": uri("docx", "1", "SKILL.md")}),
        ),
        (
            "unknown directory",
            "resources/directory/read",
            json!({"uri": "skill://docx/1/docx"}),
        ),
        (
            "unknown skill of the extension",
            "skills/get",
            json!({"uri": uri("docx", "1", "SKILL.md")}),
        ),
        ("unknown prompt", "prompts/get", json!({"name": "docx"})),
        (
            "unknown prompt version",
            "prompts/get",
            json!({"name": "pdf", "arguments": {"version": "9"}}),
        ),
        (
            "prompt without its task",
            "prompts/get",
            json!({"name": "search_first"}),
        ),
        (
            "unknown prompt argument",
            "prompts/get",
            json!({"name": "pdf", "arguments": {"colour": "red"}}),
        ),
        (
            "prompt argument is no string",
            "prompts/get",
            json!({"name": "pdf", "arguments": {"task": 7}}),
        ),
        (
            "prompt argument too long",
            "prompts/get",
            json!({"name": "pdf", "arguments": {"task": "x".repeat(20_001)}}),
        ),
        ("resources/read without uri", "resources/read", json!({})),
        (
            "resources/directory/read without uri",
            "resources/directory/read",
            json!({}),
        ),
        ("skills/get without uri", "skills/get", json!({})),
        ("prompts/get without name", "prompts/get", json!({})),
        ("completion without ref", "completion/complete", json!({})),
        (
            "completion of an unknown prompt argument",
            "completion/complete",
            json!({"ref": prompt, "argument": argument}),
        ),
        (
            "completion of an unknown template argument",
            "completion/complete",
            json!({"ref": template, "argument": argument}),
        ),
        (
            "completion of an unknown template",
            "completion/complete",
            json!({"ref": {"type": "ref/resource", "uri": "file:///{path}"}, "argument": argument}),
        ),
        ("invalid cursor of a list", "skills/list", json!({"cursor": "x"})),
        (
            "cursor of a list with one page",
            "tools/list",
            json!({"cursor": "x"}),
        ),
        (
            "cursor of the templates",
            "resources/templates/list",
            json!({"cursor": "x"}),
        ),
        (
            "subscription to an unknown resource",
            "resources/subscribe",
            json!({"uri": "file:///etc/passwd"}),
        ),
        ("unknown method", "resources/lost", json!({})),
    ] {
        texts.add(client, case, method, params).await;
    }
    insta::assert_snapshot!(texts.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_limited_keys_match_their_snapshot() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    db.skill(tenant, "pdf", "Fills forms.", &[]).await;
    let service = db.service();
    let mut texts = Texts::default();

    let (_, key) = db.key(tenant, "eve@example.com", &[Scope::UsageWrite]).await;
    let client = &mut WireClient::connect(&service, &key, Transport::InMemory).await;
    texts
        .add_call(client, "tool without the scope", "get_skill", get_pdf())
        .await;
    texts
        .add(client, "method without the scope", "resources/read", read_pdf())
        .await;

    let limits = KeyLimits {
        scopes: &Scope::ALL,
        only_skills: Some(&["pdf"]),
        only_tools: Some(&["whoami", "usage_report"]),
    };
    let client =
        &mut WireClient::connect(&service, &limits.key(&db, tenant).await, Transport::InMemory).await;
    texts
        .add_call(client, "tool that the key may not call", "get_skill", get_pdf())
        .await;
    texts
        .add(
            client,
            "method of a tool that the key may not call",
            "resources/read",
            read_pdf(),
        )
        .await;
    texts
        .add_call(
            client,
            "report for a key limited to skills",
            "usage_report",
            json!({}),
        )
        .await;

    let (user, _) = db.key(tenant, "bob@example.com", &[Scope::UsageWrite]).await;
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let new = NewApiKey {
        user,
        name: "slow".to_owned(),
        scopes: Scopes::new(Scope::ALL),
        only_skills: None,
        only_tools: None,
        expires_at: None,
        call_limits: CallLimits {
            calls_per_minute: Some(1),
            calls_per_month: Some(1),
        },
    };
    let (_, key) = api_keys::create(&tx, &new).await.unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    let client = &mut WireClient::connect(&service, &key, Transport::InMemory).await;
    client.tool("whoami", json!({})).await;
    texts
        .add_call(client, "tool over the rate limit", "whoami", json!({}))
        .await;
    texts
        .add(client, "method over the rate limit", "resources/read", read_pdf())
        .await;
    // The waiting time depends on when the test runs.
    let texts: Vec<String> = texts
        .0
        .lines()
        .map(|line| match line.split_once("Try again in ") {
            Some((text, _)) => format!("{text}Try again in N seconds."),
            None => line.to_owned(),
        })
        .collect();
    insta::assert_snapshot!(texts.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_of_interrupted_requests_match_their_snapshot() {
    let mut texts = Texts::default();
    for (fault, limit) in [
        (InjectedFault::Panic, Duration::from_secs(60)),
        (InjectedFault::Wait, Duration::from_millis(200)),
        (InjectedFault::BadStatement, Duration::from_secs(60)),
    ] {
        let setup = FaultyTenant::new(fault, limit).await;
        let client = &mut WireClient::connect(&setup.service, &setup.faulty_key, Transport::InMemory).await;
        texts
            .add_call(client, &format!("tool, {fault:?}"), "get_skill", get_pdf())
            .await;
        texts
            .add(
                client,
                &format!("method, {fault:?}"),
                "resources/read",
                read_pdf(),
            )
            .await;
        texts
            .add(client, &format!("list, {fault:?}"), "skills/list", json!({}))
            .await;
    }
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let client =
        &mut WireClient::connect(&db.service(), &db.full_key(tenant).await, Transport::InMemory).await;
    let superuser = db.superuser().await;
    superuser
        .batch_execute("REVOKE INSERT ON usage_events FROM skillkeep_app")
        .await
        .unwrap();
    texts
        .add_call(client, "event cannot be stored", "whoami", json!({}))
        .await;
    insta::assert_snapshot!(texts.0);
}
