//! A key that is limited to some skills learns nothing of the others from time: a request for a hidden skill sends the database the same
//! statements as one for a missing skill, and the database sends nothing of the skill back.

use std::sync::atomic::Ordering;

use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::isolation_probe::{InMemoryClient, ProbeClient as _};
use skillkeep::tenancy::{ApiKey, Scope};
use skillkeep::tools::ToolName;

use super::recording_proxy::{RecordingProxy, normalize};
use crate::harness::TestDb;
use crate::methods::{KeyLimits, reads, store};

/// Of the same length, because answers and statements contain them.
const HIDDEN: &str = "hidden-one";
const MISSING: &str = "absent-one";
/// The hidden skill's largest file. Anything that reads it answers with more than [`SMALL`].
const LARGE: usize = 400_000;
/// What a row of the hidden skill's name and numbers may take, in bytes.
const SMALL: usize = 2_000;

/// Calls of each tool for a skill. Empty for tools whose arguments name no skill.
fn calls(tool: ToolName, skill: &str) -> Vec<Value> {
    let digest = format!("sha256:{}", "0".repeat(64));
    let with = |more: Value| {
        let mut arguments = more;
        arguments["skill"] = skill.into();
        arguments
    };
    match tool {
        ToolName::SearchSkills | ToolName::ConfirmInstall | ToolName::UsageReport | ToolName::Whoami => {
            Vec::new()
        }
        ToolName::GetSkill => vec![
            with(json!({})),
            with(json!({"version": "1", "digests": true})),
            with(json!({"version": "9"})),
            with(json!({"file": "SKILL.md"})),
            with(json!({"file": "large.txt", "offset": 100_000})),
            with(json!({"file": "no.txt"})),
        ],
        ToolName::InstallSkill => vec![
            with(json!({"assistant": "codex"})),
            with(json!({"assistant": "codex", "version": "1", "max_chars": 1_000})),
        ],
        ToolName::CheckInstalled => vec![
            json!({"installed": [{"skill": skill, "version": "1"}]}),
            json!({"installed": [{"skill": skill, "version": "1", "digest": digest}]}),
        ],
        ToolName::Recommend => vec![json!({"text": "a text", "installed": [skill]})],
        ToolName::RecordUsage => vec![with(json!({"outcome": "helped"}))],
        ToolName::RateSkill => vec![with(json!({"stars": 5}))],
        ToolName::PublishSkill => {
            let text = format!("---\nname: {skill}\ndescription: Another one.\n---\n\nText.\n");
            vec![with(json!({"files": [{"path": "SKILL.md", "text": text}]}))]
        }
        ToolName::ReviewSkill => vec![
            with(json!({})),
            with(json!({"verdict": "approve", "decided_by": "person"})),
        ],
        ToolName::ForkSkill => vec![with(json!({"new_name": "visible-two"}))],
        ToolName::UpdateSkill => vec![
            with(json!({"action": "archive"})),
            with(json!({"action": "deprecate"})),
            with(json!({"action": "rename", "to": "visible-two"})),
        ],
        ToolName::YankSkill => vec![with(json!({"all": true, "reason": "x"}))],
    }
}

/// All requests that name a skill: tool calls, and the methods that read one.
fn requests(skill: &str) -> Vec<(&'static str, Value)> {
    let calls = ToolName::ALL.iter().flat_map(|tool| {
        calls(*tool, skill).into_iter().map(|arguments| {
            (
                "tools/call",
                json!({"name": tool.as_str(), "arguments": arguments}),
            )
        })
    });
    let methods = [
        (
            "resources/read",
            json!({"uri": format!("skill://{skill}/1/{skill}/large.txt")}),
        ),
        (
            "prompts/get",
            json!({"name": "review_skill", "arguments": {"skill": skill}}),
        ),
        (
            "completion/complete",
            json!({"ref": {"type": "ref/prompt", "name": skill}, "argument": {"name": "version", "value": ""}}),
        ),
    ];
    calls.chain(reads(skill, "1")).chain(methods).collect()
}

async fn key_for(db: &TestDb, tenant: TenantId, only_skills: &[&str]) -> ApiKey {
    let limits = KeyLimits {
        scopes: &Scope::ALL,
        only_skills: Some(only_skills),
        only_tools: None,
    };
    limits.key(db, tenant).await
}

#[tokio::test(flavor = "multi_thread")]
async fn hidden_and_missing_skills_cause_the_same_statements_and_no_data() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let text = |name: &str| format!("---\nname: {name}\ndescription: Does {name}.\n---\n\nText.\n");
    // Random digits, so that nothing makes the file smaller.
    let large: String = (0..LARGE / 8)
        .map(|_| format!("{:08x}", rand::random::<u32>()))
        .collect();
    let hidden = text(HIDDEN);
    let files: [(&str, &[u8]); 2] = [("SKILL.md", hidden.as_bytes()), ("large.txt", large.as_bytes())];
    store(&db, tenant, HIDDEN, &files).await;
    store(
        &db,
        tenant,
        "visible-one",
        &[("SKILL.md", text("visible-one").as_bytes())],
    )
    .await;
    let limited = key_for(&db, tenant, &["visible-one", "visible-two"]).await;
    let entitled = key_for(&db, tenant, &[HIDDEN]).await;
    let proxy = RecordingProxy::new(&db);
    let service = proxy.service(&db, 1);
    let mut entitled = InMemoryClient::connect_current(&service, entitled);
    let mut limited = InMemoryClient::connect_current(&service, limited);
    // The first requests prepare statements and read the search index.
    for client in [&mut entitled, &mut limited] {
        for (method, params) in requests("visible-one").into_iter().chain(requests(MISSING)) {
            client.request(method, params).await.unwrap();
        }
    }
    proxy.sent.settle().await;
    // The measurement sees a file that is read.
    let before = proxy.received.load(Ordering::SeqCst);
    let read = json!({"name": "get_skill", "arguments": {"skill": HIDDEN, "file": "large.txt"}});
    entitled.request("tools/call", read).await.unwrap();
    let read = proxy.received.load(Ordering::SeqCst) - before;
    assert!(read > LARGE / 2, "{read}");
    let (mut compared, mut different) = (0, Vec::new());
    for ((method, hidden), (_, missing)) in requests(HIDDEN).into_iter().zip(requests(MISSING)) {
        let mut sent = Vec::new();
        let mut received = Vec::new();
        for params in [hidden.clone(), missing] {
            proxy.sent.take();
            let before = proxy.received.load(Ordering::SeqCst);
            limited.request(method, params).await.unwrap();
            sent.push(normalize(proxy.sent.take(), tenant));
            received.push(proxy.received.load(Ordering::SeqCst) - before);
        }
        if sent[0] != sent[1] || received[0].abs_diff(received[1]) >= SMALL {
            different.push(format!(
                "{method} {hidden}: {received:?}\n  {:?}\n  {:?}",
                sent[0], sent[1]
            ));
        }
        compared += 1;
    }
    assert!(different.is_empty(), "{}", different.join("\n"));
    assert!(compared > 25, "{compared}");
}
