//! No answer of a tool has more than 100,000 characters, for all skills and arguments.

mod searches;

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::{Digest, TenantId};
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::{ApiKey, CallLimits, Scope, Scopes, users};
use skillkeep::tools::ToolName;

use self::searches::{recommend, report, search};
use super::texts::{long_label, long_path, quotes, skill_md, with_findings};
use crate::harness::{Client, TestDb};

const MAX_CHARS: usize = 100_000;
/// 64 characters, as long as a slug may be.
const LONG_SLUG: &str = "hostile-hostile-hostile-hostile-hostile-hostile-hostile-hostile1";
const NEW_SLUG: &str = "renamed-renamed-renamed-renamed-renamed-renamed-renamed-renamed1";

struct Registry {
    db: TestDb,
    tenant: TenantId,
    author: Client,
    reviewer: Client,
    /// With a key that is limited to many skills.
    limited: Client,
    max: (usize, String),
}

impl Registry {
    async fn new() -> Self {
        let db = TestDb::new().await;
        let tenant = db.tenant("acme").await;
        // On a busy machine, a build without optimisation needs longer for a skill of 500 files.
        let limits = ServiceLimits {
            call_timeout: Duration::from_secs(120),
            ..ServiceLimits::default()
        };
        let service = Arc::new(CallService::new(
            db.server.clone().with_response_timeout(Duration::from_secs(180)),
            limits,
        ));
        let author = Client::connect(&service, &db.full_key(tenant).await).await;
        let (_, key) = db.key(tenant, "bob@example.com", &Scope::ALL).await;
        let reviewer = Client::connect(&service, &key).await;
        let limited = Client::connect(&service, &limited_key(&db, tenant).await).await;
        Self {
            db,
            tenant,
            author,
            reviewer,
            limited,
            max: (0, String::new()),
        }
    }

    /// Calls a tool, and checks the size of what a model reads, and of the structured content.
    async fn call(&mut self, who: Who, tool: &str, arguments: Value) -> Value {
        let client = match who {
            Who::Author => &self.author,
            Who::Reviewer => &self.reviewer,
            Who::Limited => &self.limited,
        };
        let result = client.call(tool, arguments.clone()).await.unwrap();
        let text: usize = result
            .content
            .iter()
            .map(|part| part.as_text().unwrap().text.chars().count())
            .sum();
        let structured = result.structured_content.unwrap_or_default();
        let size = text.max(structured.to_string().chars().count());
        let shown: String = arguments.to_string().chars().take(100).collect();
        assert!(size <= MAX_CHARS, "{tool} {shown}: {size} characters");
        if size > self.max.0 {
            self.max = (size, format!("{tool} {shown}"));
        }
        if result.is_error == Some(true) {
            let text = &result.content[0].as_text().unwrap().text;
            eprintln!("{tool} {shown}: {}", text.chars().take(300).collect::<String>());
        }
        eprintln!("{size:>7} {tool} {shown}");
        structured
    }

    async fn ok(&mut self, who: Who, tool: &str, arguments: Value) -> Value {
        let answer = self.call(who, tool, arguments.clone()).await;
        let shown: String = arguments.to_string().chars().take(300).collect();
        assert!(answer.is_object(), "{tool} {shown} was refused");
        answer
    }
}

#[derive(Debug, Clone, Copy)]
enum Who {
    Author,
    Reviewer,
    Limited,
}

async fn limited_key(db: &TestDb, tenant: TenantId) -> ApiKey {
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let email = "eve@example.com".parse().unwrap();
    let user = users::find_or_create(&tx, &email, "").await.unwrap().id;
    let slugs = (0..3_000).map(|number| format!("{number:04}-{}", &LONG_SLUG[5..]));
    let new = NewApiKey {
        user,
        name: quotes(100),
        scopes: Scopes::new(Scope::ALL),
        only_skills: Some(slugs.collect()),
        only_tools: None,
        expires_at: None,
        call_limits: CallLimits::default(),
    };
    let (_, key) = api_keys::create(&tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    key
}

/// A skill of 500 files with long paths, one of them of control characters, with everything long that its author decides about.
async fn publish_large(registry: &mut Registry) {
    let missing: String = (0..64)
        .map(|number| format!("Read `references/{number}-{}.md`.\n", "m".repeat(200)))
        .collect();
    let mut files = vec![
        json!({"path": "SKILL.md", "text": skill_md(LONG_SLUG, &missing)}),
        json!({"path": "control.txt", "text": "\u{1}".repeat(60_000)}),
    ];
    files.extend(
        (0..498).map(|number| json!({"path": long_path(number), "text": format!("{}{number}", quotes(400))})),
    );
    let large = json!({"skill": LONG_SLUG, "files": files, "version": long_label(0), "note": quotes(2_000)});
    registry.ok(Who::Author, "publish_skill", large).await;
}

/// Versions with long labels and notes, ratings, a review and a deprecation.
async fn add_history(registry: &mut Registry) {
    for number in 1..300 {
        let skill_md = format!("---\nname: many\ndescription: Number {number}.\n---\n\nDo it.\n");
        let version = json!({
            "skill": "many", "files": [{"path": "SKILL.md", "text": skill_md}], "version": long_label(number),
            "note": quotes(2_000),
        });
        let published = registry.author.ok("publish_skill", version).await;
        assert_eq!(published["state"], "published");
    }
    for skill in ["many", LONG_SLUG] {
        for who in [Who::Reviewer, Who::Reviewer] {
            let rating = json!({"skill": skill, "stars": 1, "comment": quotes(4_000)});
            registry.ok(who, "rate_skill", rating).await;
        }
        let review =
            json!({"skill": skill, "verdict": "approve", "decided_by": "person", "comment": quotes(4_000)});
        registry.ok(Who::Reviewer, "review_skill", review).await;
        let deprecate = json!({"skill": skill, "action": "deprecate", "note": quotes(1_000)});
        registry.ok(Who::Author, "update_skill", deprecate).await;
    }
}

/// Every page of `get_skill` from `arguments` on, and how many of `count` they had.
async fn all_pages(registry: &mut Registry, mut arguments: Value, count: impl Fn(&Value) -> usize) -> usize {
    let mut total = 0;
    loop {
        let answer = registry.ok(Who::Author, "get_skill", arguments.clone()).await;
        total += count(&answer);
        let next = answer
            .get("next_offset")
            .or_else(|| answer["file"].get("next_offset"));
        let Some(next) = next else { return total };
        assert_ne!(arguments.get("offset"), Some(next), "a page without progress");
        arguments["offset"] = next.clone();
    }
}

/// Paths that no version has, in characters that JSON writes with six.
fn many_paths(count: usize) -> Vec<Value> {
    let digest = Digest::of(b"other").to_string();
    let path = |number: usize| format!("{number:03}{}", "\u{1}".repeat(1_000));
    (0..count)
        .map(|number| json!({"path": path(number), "digest": digest}))
        .collect()
}

async fn read(registry: &mut Registry) {
    for digests in [false, true] {
        let arguments = json!({"skill": LONG_SLUG, "digests": digests});
        let files = |answer: &Value| answer["files"].as_array().unwrap().len();
        assert_eq!(all_pages(registry, arguments, files).await, 500);
    }
    let arguments = json!({"skill": LONG_SLUG, "file": "control.txt", "max_chars": 50_000});
    let chars = |answer: &Value| answer["file"]["text"].as_str().unwrap().chars().count();
    assert_eq!(all_pages(registry, arguments, chars).await, 60_000);
    for skill in ["many", "finds"] {
        registry
            .ok(Who::Author, "get_skill", json!({"skill": skill}))
            .await;
    }
}

async fn install(registry: &mut Registry) {
    let mut arguments = json!({"skill": LONG_SLUG, "assistant": "claude-code", "max_chars": 80_000});
    for _ in 0..8 {
        let answer = registry.ok(Who::Author, "install_skill", arguments.clone()).await;
        arguments["cursor"] = answer["next_cursor"].clone();
    }
    for max_chars in [0, 1] {
        let arguments = json!({"skill": LONG_SLUG, "assistant": "claude-code", "max_chars": max_chars});
        registry.ok(Who::Author, "install_skill", arguments).await;
    }
}

async fn confirm(registry: &mut Registry) {
    let install = json!({"skill": LONG_SLUG, "assistant": "claude-code", "max_chars": 0});
    let install = registry.author.ok("install_skill", install).await;
    for files in [
        many_paths(512),
        vec![json!({"path": "SKILL.md", "digest": Digest::of(b"other").to_string()})],
    ] {
        let arguments = json!({"install_id": install["install_id"], "files": files});
        let answer = registry.ok(Who::Author, "confirm_install", arguments).await;
        assert!(answer["not_listed"].as_u64().unwrap() > 0);
    }
}

async fn check(registry: &mut Registry) {
    let mut one = json!({"skill": LONG_SLUG, "version": long_label(0)});
    for (count, files) in [(200, Vec::new()), (200, many_paths(3)), (1, many_paths(512))] {
        if !files.is_empty() {
            one["files"] = files.into();
        }
        let installed: Vec<&Value> = (0..count).map(|_| &one).collect();
        let answer = registry
            .ok(Who::Author, "check_installed", json!({"installed": installed}))
            .await;
        assert_eq!(answer["skills"].as_array().unwrap().len(), count);
    }
}

/// Calls a tool with the longest that it can answer.
async fn call(registry: &mut Registry, tool: ToolName) {
    match tool {
        ToolName::SearchSkills => search(registry).await,
        ToolName::GetSkill => read(registry).await,
        ToolName::InstallSkill => install(registry).await,
        ToolName::ConfirmInstall => confirm(registry).await,
        ToolName::CheckInstalled => check(registry).await,
        ToolName::RecordUsage => {
            let arguments = json!({"skill": "many", "outcome": "failed", "comment": quotes(2_000), "idempotency_key": quotes(128)});
            registry.ok(Who::Author, tool.as_str(), arguments).await;
        }
        ToolName::UsageReport => report(registry).await,
        ToolName::RateSkill => {
            let arguments = json!({"skill": "many", "stars": 5, "comment": quotes(4_000)});
            registry.ok(Who::Reviewer, tool.as_str(), arguments).await;
        }
        ToolName::PublishSkill => {
            let answer = registry.ok(Who::Author, tool.as_str(), with_findings()).await;
            assert!(answer["findings"].as_array().unwrap().len() > 3, "{answer}");
        }
        ToolName::ReviewSkill => {
            for skill in ["finds", LONG_SLUG, "many"] {
                let answer = registry
                    .ok(Who::Reviewer, tool.as_str(), json!({"skill": skill}))
                    .await;
                assert_eq!(answer["changes"]["is_cut"], skill != "many", "{skill}");
            }
        }
        ToolName::ForkSkill => {
            let arguments = json!({"skill": LONG_SLUG, "new_name": "forked"});
            registry.ok(Who::Reviewer, tool.as_str(), arguments).await;
            registry
                .ok(Who::Reviewer, "get_skill", json!({"skill": "forked"}))
                .await;
        }
        ToolName::UpdateSkill => {
            let arguments = json!({"skill": LONG_SLUG, "action": "rename", "to": NEW_SLUG});
            registry.ok(Who::Author, tool.as_str(), arguments).await;
        }
        ToolName::YankSkill => {
            let reason = quotes(1_000);
            for skill in ["many", LONG_SLUG] {
                let arguments = json!({"skill": skill, "all": true, "reason": reason});
                registry.ok(Who::Author, tool.as_str(), arguments).await;
            }
        }
        ToolName::Recommend => recommend(registry).await,
        ToolName::Whoami => {
            let answer = registry.ok(Who::Limited, tool.as_str(), json!({})).await;
            assert!(
                answer["next_step"].as_str().unwrap().contains("leaves out"),
                "{answer}"
            );
        }
    }
}

/// Arguments that are as long as a caller likes, one after the other.
async fn send_long_arguments(registry: &mut Registry, tool: ToolName) {
    let description = tool.describe();
    let properties = description
        .input_schema
        .get("properties")
        .and_then(Value::as_object);
    let long = quotes(150_000);
    registry
        .call(Who::Author, tool.as_str(), json!({long.as_str(): 1}))
        .await;
    for name in properties.into_iter().flat_map(|properties| properties.keys()) {
        for value in [
            json!(long),
            json!([long]),
            json!([{long.as_str(): long}]),
            json!({long.as_str(): long}),
            json!("\u{1}".repeat(2_000)),
        ] {
            let mut arguments =
                json!({"skill": "many", "stars": 1, "outcome": "helped", "assistant": "codex"});
            let all = arguments.as_object_mut().unwrap();
            all.retain(|name, _| properties.is_some_and(|properties| properties.contains_key(name)));
            all.insert(name.clone(), value);
            registry.call(Who::Author, tool.as_str(), arguments).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_tool_answers_with_more_than_100000_characters() {
    let mut registry = Registry::new().await;
    publish_large(&mut registry).await;
    add_history(&mut registry).await;
    // What others read comes last: after a version was withdrawn, and its skill renamed.
    let mut tools = ToolName::ALL.to_vec();
    let last = [ToolName::UpdateSkill, ToolName::YankSkill];
    tools.sort_by_key(|tool| {
        let number = last.iter().position(|other| other == tool);
        (*tool != ToolName::PublishSkill, number)
    });
    for tool in &tools {
        call(&mut registry, *tool).await;
    }
    for skill in [NEW_SLUG, LONG_SLUG, "many"] {
        for version in [Some(long_label(0)), Some(long_label(9)), None] {
            let one = json!({"skill": skill, "version": version});
            for (tool, arguments) in [
                ("check_installed", json!({"installed": vec![&one; 200]})),
                ("get_skill", one.clone()),
                (
                    "install_skill",
                    json!({"skill": skill, "version": version, "assistant": "codex"}),
                ),
                (
                    "fork_skill",
                    json!({"skill": skill, "version": version, "new_name": "forked-again"}),
                ),
            ] {
                registry.call(Who::Author, tool, arguments).await;
            }
        }
    }
    for tool in tools {
        send_long_arguments(&mut registry, tool).await;
    }
    eprintln!("largest: {:?}", registry.max);
    // The limits are of use only if the skills are large enough to meet them.
    assert!(registry.max.0 > 70_000, "{:?}", registry.max);
}
