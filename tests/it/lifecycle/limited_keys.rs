//! A key that is limited to some skills does nothing with the others, in any tool.

use std::collections::BTreeMap;

use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::tenancy::api_keys::{self, NewApiKey};
use skillkeep::tenancy::{CallLimits, Scope, Scopes, users};
use skillkeep::tools::ToolName;

use super::{Team, files, publish};
use crate::command::admin;
use crate::harness::Client;
use crate::helpers::table_checksums;

/// A key of an administrator who reviews, limited to a skill that exists and to a free slug.
async fn limited(team: &Team) -> Client {
    let tx = TenantTx::begin_as_admin(&team.db.admin, team.tenant)
        .await
        .unwrap();
    let email = "limited@example.com".parse().unwrap();
    let new = NewApiKey {
        user: users::find_or_create(&tx, &email, "").await.unwrap().id,
        name: "limited".to_owned(),
        scopes: Scopes::new(Scope::ALL),
        only_skills: Some(vec!["visible".to_owned(), "free".to_owned()]),
        only_tools: None,
        expires_at: None,
        call_limits: CallLimits::default(),
    };
    let (_, key) = api_keys::create(&tx, &new).await.unwrap();
    skillkeep::search::commit(tx).await.unwrap();
    Client::connect(&team.db.service(), &key).await
}

/// Calls that succeed with a key that is not limited. Empty for tools that name no skill.
fn calls(tool: ToolName, skill: &str) -> Vec<Value> {
    match tool {
        ToolName::SearchSkills
        | ToolName::ConfirmInstall
        | ToolName::CheckInstalled
        | ToolName::UsageReport
        | ToolName::Recommend
        | ToolName::Whoami => Vec::new(),
        ToolName::GetSkill => vec![json!({"skill": skill})],
        ToolName::InstallSkill => vec![json!({"skill": skill, "assistant": "codex"})],
        ToolName::RecordUsage => vec![json!({"skill": skill, "outcome": "helped"})],
        ToolName::RateSkill => vec![json!({"skill": skill, "stars": 5})],
        ToolName::PublishSkill => vec![json!({"skill": skill, "files": files(skill, None, "New.")})],
        ToolName::ReviewSkill => vec![
            json!({"skill": skill}),
            json!({"skill": skill, "verdict": "approve", "decided_by": "person"}),
        ],
        ToolName::ForkSkill => vec![json!({"skill": skill, "new_name": "free"})],
        ToolName::UpdateSkill => vec![
            json!({"skill": skill, "action": "archive"}),
            json!({"skill": skill, "action": "deprecate"}),
            json!({"skill": skill, "action": "rename", "to": "free"}),
            json!({"skill": skill, "action": "transfer", "to": "limited@example.com"}),
        ],
        ToolName::YankSkill => vec![json!({"skill": skill, "all": true, "reason": "x"})],
    }
}

async fn rows(team: &Team) -> BTreeMap<String, (i64, String)> {
    let mut rows = table_checksums(&team.db, team.tenant).await;
    for changed_by_every_call in ["usage_events", "api_keys"] {
        rows.remove(changed_by_every_call);
    }
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn key_limited_to_skills_neither_sees_nor_changes_others() {
    let team = Team::new().await;
    publish(&team.author, "hidden", None, "One.").await;
    publish(&team.author, "visible", None, "One.").await;
    let client = limited(&team).await;
    let before = rows(&team).await;
    for tool in ToolName::ALL {
        for (hidden, missing) in calls(*tool, "hidden").into_iter().zip(calls(*tool, "absent")) {
            let what = format!("{} {hidden}", tool.as_str());
            let refused = client.error(tool.as_str(), hidden).await;
            let expected = client.error(tool.as_str(), missing).await;
            assert_eq!(refused, expected.replace("absent", "hidden"), "{what}");
        }
    }
    let installed = |skill: &str| json!({"installed": [{"skill": skill, "version": "1"}]});
    let hidden = client.ok("check_installed", installed("hidden")).await;
    let missing = client.ok("check_installed", installed("absent")).await;
    assert_eq!(
        hidden.to_string(),
        missing.to_string().replace("absent", "hidden")
    );
    assert_eq!(hidden["skills"][0]["state"], "unknown");
    assert_eq!(rows(&team).await, before);
    for skill in ["hidden", "visible"] {
        admin(&team.db, &["distribute", skill, "--tenant", "acme"]);
    }
    let answer = client.ok("check_installed", json!({"installed": []})).await;
    assert_eq!(
        answer["distributed"],
        json!([{"skill": "visible", "version": "latest"}])
    );
    for (tool, arguments) in [
        ("rate_skill", json!({"skill": "visible", "stars": 4})),
        ("fork_skill", json!({"skill": "visible", "new_name": "free"})),
    ] {
        client.ok(tool, arguments).await;
    }
    let refused = client
        .error("fork_skill", json!({"skill": "visible", "new_name": "other"}))
        .await;
    assert!(refused.contains("limited to certain skills"), "{refused}");
}
