//! `whoami`: the caller's identity and what their key may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::name::ToolName;
use super::tool::{CallContext, Done, Tool};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whoami {}

#[derive(Debug, Serialize, JsonSchema)]
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
    /// The only skills that the key may see. Absent: all.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_skills: Option<Vec<String>>,
    /// RFC 3339. Absent: never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// Limit of this key. Absent: no limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_minute: Option<i32>,
    /// Limit of this key per calendar month (UTC). Absent: no limit of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_month: Option<i64>,
    /// Limit of all keys of the organisation together. Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_calls_per_minute: Option<i32>,
    /// The same per calendar month (UTC). Absent: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_calls_per_month: Option<i64>,
    /// Version of skillkeep.
    server_version: String,
}

impl Tool for Whoami {
    const TITLE: &'static str = "Who am I";
    const DESCRIPTION: &'static str = "Show the organisation, the user and the permissions and limits of this connection's API key. \
         Call it when another call is refused, or before you report on someone's behalf.";
    type Output = WhoamiOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<WhoamiOutput>, ToolError> {
        let caller = cx.principal;
        Ok(Done::new(WhoamiOutput {
            tenant: caller.tenant_slug.clone(),
            tenant_name: caller.tenant_name.clone(),
            user: caller.email.clone(),
            api_key: caller.api_key_name.clone(),
            api_key_id: caller.api_key.to_string(),
            scopes: caller.scopes.names().into_iter().map(str::to_owned).collect(),
            tools: ToolName::ALL
                .iter()
                .filter(|tool| tool.allowed_for(caller))
                .map(|tool| tool.as_str().to_owned())
                .collect(),
            only_skills: caller.only_skills.clone(),
            expires_at: caller.expires_at.map(|expiry| expiry.to_string()),
            calls_per_minute: caller.key_allowance.calls_per_minute,
            calls_per_month: caller.key_allowance.calls_per_month,
            tenant_calls_per_minute: caller.tenant_allowance.calls_per_minute,
            tenant_calls_per_month: caller.tenant_allowance.calls_per_month,
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}
