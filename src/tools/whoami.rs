//! `whoami`: the caller's identity and what their key may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::labels::time;
use super::name::ToolName;
use super::schema::without_descriptions;
use super::signature::KeyOutput;
use super::tool::{CallContext, Done, Tool};
use crate::answer_size::keep_first;
use crate::registry::signing;
use crate::tenancy::Principal;

/// Characters of the skills that an answer names.
const MAX_SKILL_CHARS: usize = 40_000;

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whoami {}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = without_descriptions)]
pub(super) struct WhoamiOutput {
    /// The organisation's slug.
    tenant: String,
    tenant_name: String,
    /// Email address.
    user: String,
    /// Name of the API key.
    api_key: String,
    /// An administrator needs it to revoke or rotate the key.
    api_key_id: String,
    scopes: Vec<String>,
    /// The tools that the key may call.
    tools: Vec<String>,
    /// The tools that it may not call, with what it lacks.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    not_allowed: Vec<String>,
    /// The only skills that the key may see. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_skills: Option<Vec<String>>,
    /// Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Limits of this key, per minute and per calendar month (UTC). Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_minute: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_month: Option<i64>,
    /// Limits of all keys of the organisation together.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_calls_per_minute: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_calls_per_month: Option<i64>,
    // With which the organisation's versions are signed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    signing_keys: Vec<KeyOutput>,
    /// Of skillkeep.
    server_version: String,
    next_step: String,
}

impl Tool for Whoami {
    const TITLE: &'static str = "Who am I";
    const DESCRIPTION: &'static str = "Show the organisation, the user, and what this API key may and may not do. Call it when another call is \
         refused.";
    type Output = WhoamiOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<WhoamiOutput>, ToolError> {
        let caller = cx.principal;
        let signing_keys = signing::public_keys(cx.tx).await?;
        let (tools, others): (Vec<ToolName>, Vec<ToolName>) =
            ToolName::ALL.iter().partition(|tool| tool.allowed_for(caller));
        let mut only_skills = caller.only_skills.clone();
        let unnamed = only_skills
            .as_mut()
            .map_or(0, |skills| keep_first(skills, MAX_SKILL_CHARS));
        let not_allowed: Vec<String> = others.into_iter().map(|tool| reason(tool, caller)).collect();
        Ok(Done::new(WhoamiOutput {
            tenant: caller.tenant_slug.clone(),
            tenant_name: caller.tenant_name.clone(),
            user: caller.email.clone(),
            api_key: caller.api_key_name.clone(),
            api_key_id: caller.api_key.to_string(),
            scopes: caller.scopes.names().into_iter().map(str::to_owned).collect(),
            tools: tools.into_iter().map(|tool| tool.as_str().to_owned()).collect(),
            next_step: match unnamed {
                0 => next_step(not_allowed.is_empty()).to_owned(),
                more => format!(
                    "`only_skills` leaves out {more} more. {}",
                    next_step(not_allowed.is_empty())
                ),
            },
            not_allowed,
            only_skills,
            expires_at: caller.expires_at.map(time),
            calls_per_minute: caller.api_key_limits.calls_per_minute,
            calls_per_month: caller.api_key_limits.calls_per_month,
            tenant_calls_per_minute: caller.tenant_limits.calls_per_minute,
            tenant_calls_per_month: caller.tenant_limits.calls_per_month,
            signing_keys: signing_keys.into_iter().map(KeyOutput::from).collect(),
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}

/// What the key lacks to call the tool, such as `usage_report: usage:read`.
fn reason(tool: ToolName, caller: &Principal) -> String {
    match tool.scope() {
        Some(scope) if !caller.scopes.allow(scope) => format!("{}: {scope}", tool.as_str()),
        Some(_) | None => format!("{}: not among the key's tools", tool.as_str()),
    }
}

const fn next_step(may_call_all: bool) -> &'static str {
    if may_call_all {
        "Imports, keys, users and the audit log are not here: an administrator manages them with the command line, skillkeep."
    } else {
        "Ask an administrator for a key with the missing scopes. Imports, keys, users and the audit log are not here: an \
         administrator manages them with the command line, skillkeep."
    }
}
