//! `whoami`: who the caller is, and what his key may do.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Done, SideEffect, Tool, ToolError, ToolName};
use crate::tenancy::Scope;

/// No arguments.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Whoami {}

/// The caller as the registry knows him.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct WhoamiOutput {
    /// The organisation's short name.
    tenant: String,
    /// The organisation's full name.
    tenant_name: String,
    /// Whose key it is.
    user: String,
    /// The key's name.
    api_key: String,
    /// The key's id, which an administrator needs in order to revoke or rotate it.
    api_key_id: String,
    /// What the key may do.
    scopes: Vec<String>,
    /// The tools that the key may call.
    tools: Vec<String>,
    /// The only skills that the key may see; absent for all.
    #[serde(skip_serializing_if = "Option::is_none")]
    only_skills: Option<Vec<String>>,
    /// When the key ends by itself, RFC 3339; absent for never.
    #[serde(skip_serializing_if = "Option::is_none")]
    expires_at: Option<String>,
    /// How many calls the key may make in a minute; absent for as many as its organisation may.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_minute: Option<i32>,
    /// How many calls the key may make in a calendar month of UTC; absent for as many as its organisation may.
    #[serde(skip_serializing_if = "Option::is_none")]
    calls_per_month: Option<i64>,
    /// How many calls all keys of the organisation may make in a minute; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_calls_per_minute: Option<i32>,
    /// How many calls all keys of the organisation may make in a calendar month of UTC; absent for no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant_calls_per_month: Option<i64>,
    /// The version of this skillkeep.
    server_version: String,
}

impl Tool for Whoami {
    const NAME: &'static str = "whoami";
    const TITLE: &'static str = "Who am I";
    const DESCRIPTION: &'static str = "Tells which organisation and user this connection works for, and what its API key may do. \
         Use it when a call is refused, or before publishing or reporting on someone's behalf.";
    const SCOPE: Option<Scope> = None;
    const EFFECT: SideEffect = SideEffect::Reads;
    type Output = WhoamiOutput;

    fn check(&self) -> Result<(), String> {
        Ok(())
    }

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
            expires_at: caller.expires_at.map(|moment| moment.to_string()),
            calls_per_minute: caller.key_allowance.calls_per_minute,
            calls_per_month: caller.key_allowance.calls_per_month,
            tenant_calls_per_minute: caller.tenant_allowance.calls_per_minute,
            tenant_calls_per_month: caller.tenant_allowance.calls_per_month,
            server_version: env!("CARGO_PKG_VERSION").to_owned(),
        }))
    }
}
