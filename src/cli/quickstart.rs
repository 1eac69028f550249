//! `skillkeep quickstart`: stores sample skills, creates a key and makes a first tool call.

use std::path::Path;

use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::transport::TokioChildProcess;
use rmcp::{RoleClient, ServiceExt as _, service::RunningService};
use serde_json::{Value, json};

use super::database::{self, Database, db_failure};
use super::local_registry;
use super::new_key;
use super::output;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::ids::ApiKeyId;
use crate::registry::publish::{self, NewVersion, Placement, Source};
use crate::registry::settings::Settings;
use crate::registry::{administration, samples, scans, usage};
use crate::search;
use crate::tenancy::api_keys::NewApiKey;
use crate::tenancy::users::Email;
use crate::tenancy::{ApiKey, CallLimits, Scope, Scopes};

#[derive(Debug, clap::Args)]
pub(super) struct QuickstartArgs {
    /// The search text of the first call
    #[arg(default_value = "write the release notes of the next version")]
    query: String,
}

const USER: &str = "quickstart@localhost";
const TENANT: &str = "default";
/// A role that may administer the registry may not serve it, so no single DATABASE_URL does both.
const OWN_DATABASE: &str = "quickstart sets up the embedded PostgreSQL, and DATABASE_URL is set; nothing was changed: unset it, or use your own database: run `skillkeep migrate` as its owner, `skillkeep import FOLDER` and `skillkeep key create --user EMAIL` as skillkeep_admin, and `skillkeep serve` as skillkeep_app";

pub(super) async fn run(config: &Config, args: QuickstartArgs) -> Result<(), CliError> {
    if config.database_url.is_some() {
        return Err(CliError::new(CliErrorKind::Refused, OWN_DATABASE));
    }
    let database = Database::open(config).await?;
    let outcome = set_up_and_call(config, &database, &args.query).await;
    database.close().await;
    outcome
}

async fn set_up_and_call(config: &Config, database: &Database, query: &str) -> Result<(), CliError> {
    let db = database.admin().await?;
    output::line("1. PostgreSQL runs on a private socket, with row level security in force.")?;
    let names = store_samples(config, &db, TENANT).await?;
    output::line(&format!(
        "2. The tenant {TENANT} holds these sample skills: {}.",
        names.join(", ")
    ))?;
    let (id, key) = create_key(&db).await?;
    let shown = format!(
        "3. {USER} has an API key. It is shown only here:\n\n   {}\n",
        key.reveal()
    );
    new_key::hand_out(&db, TENANT, id, &shown).await?;
    let program = std::env::current_exe().map_err(|error| {
        CliError::new(
            CliErrorKind::Internal,
            format!("cannot find the path of the skillkeep program: {error}"),
        )
    })?;
    let answer = call(config, &program, &key, query).await?;
    output::line(&format!(
        "4. An MCP client started `skillkeep stdio` and called search_skills for \"{query}\":\n"
    ))?;
    show_hits(&answer)?;
    show_event(&db).await?;
    show_configuration(config, &program, &key)
}

/// Publishes the sample skills in a tenant and returns their slugs.
pub(super) async fn store_samples(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
) -> Result<Vec<String>, CliError> {
    let tenant = database::tenant(db, tenant).await?;
    let caller = database::administrator(config)?;
    let settings = Settings::default();
    let mut names = Vec::new();
    for sample in samples::all().map_err(|error| CliError::new(CliErrorKind::Internal, error))? {
        let tx = TenantTx::begin_as_admin(db, tenant.id)
            .await
            .map_err(db_failure)?;
        let source = format!("samples/{}", sample.folder.folder_name);
        let placement = Placement::Source(Source::path(&source));
        let scan = scans::scan_folder(&sample.folder);
        let new = NewVersion::new(
            placement,
            &sample.folder,
            &sample.document,
            &caller,
            &settings,
            &scan,
        );
        let stored = publish::store(&tx, &new).await.map_err(|error| {
            CliError::new(
                CliErrorKind::Internal,
                format!("cannot store a sample skill: {error}"),
            )
        })?;
        search::commit(tx).await.map_err(db_failure)?;
        names.push(stored.slug);
    }
    Ok(names)
}

async fn create_key(db: &AdminDb) -> Result<(ApiKeyId, ApiKey), CliError> {
    let email: Email = USER
        .parse()
        .map_err(|message: String| CliError::new(CliErrorKind::Internal, message))?;
    let actor = database::operator();
    let tx = database::tenant_tx(db, TENANT).await?;
    let user = administration::users::find_or_create(&tx, &actor, &email, "")
        .await
        .map_err(db_failure)?;
    let new = NewApiKey {
        user: user.id,
        name: "quickstart".to_owned(),
        scopes: Scopes::new([
            Scope::SkillsRead,
            Scope::SkillsInstall,
            Scope::UsageWrite,
            Scope::UsageRead,
        ]),
        only_skills: None,
        only_tools: None,
        expires_at: None,
        call_limits: CallLimits::default(),
    };
    let created = administration::api_keys::create(&tx, &actor, &new)
        .await
        .map_err(db_failure)?;
    search::commit(tx).await.map_err(db_failure)?;
    Ok(created)
}

/// Makes the call as an assistant does: starts `skillkeep stdio` and speaks MCP over its stdin and stdout.
async fn call(config: &Config, program: &Path, key: &ApiKey, query: &str) -> Result<Value, CliError> {
    let failed = |message: String| {
        CliError::new(
            CliErrorKind::Internal,
            format!("the first call failed: {message}"),
        )
    };
    let command = local_registry::stdio_command(config, program, key);
    let child = TokioChildProcess::new(command).map_err(|error| failed(error.to_string()))?;
    let client: RunningService<RoleClient, ()> =
        ().serve(child).await.map_err(|error| failed(error.to_string()))?;
    let mut arguments = serde_json::Map::new();
    arguments.insert("query".to_owned(), json!(query));
    arguments.insert("limit".to_owned(), json!(3));
    let request = CallToolRequestParams::new("search_skills").with_arguments(arguments);
    let called = client.call_tool(request).await;
    // Ends the child before a failure is reported, so that it releases the embedded PostgreSQL.
    client.cancel().await.map_err(|error| failed(error.to_string()))?;
    let result: CallToolResult = called.map_err(|error| failed(error.to_string()))?;
    result
        .structured_content
        .ok_or_else(|| failed("the result has no structured content".to_owned()))
}

fn show_hits(answer: &Value) -> Result<(), CliError> {
    for hit in answer.get("hits").and_then(Value::as_array).into_iter().flatten() {
        let text = |name: &str| hit.get(name).and_then(Value::as_str).unwrap_or_default();
        output::line(&format!(
            "   {}\n      {}\n      found by {}",
            text("skill"),
            text("description"),
            text("why")
        ))?;
    }
    Ok(())
}

async fn show_event(db: &AdminDb) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, TENANT).await?;
    let events = usage::recent(&tx, 1).await.map_err(db_failure)?;
    let event = events
        .first()
        .ok_or_else(|| CliError::new(CliErrorKind::Internal, "the first call has no usage event"))?;
    output::line(&format!(
        "\n5. The call left its usage event:\n\n   {}\n   {} by {} over {} ({} {}): {}, {:.1} ms\n   {}\n",
        event.id,
        event.tool,
        event.email.as_deref().unwrap_or("-"),
        event.transport,
        event.client_name.as_deref().unwrap_or("-"),
        event.protocol_version.as_deref().unwrap_or("-"),
        event.outcome,
        event.duration().as_secs_f64() * 1e3,
        event.arguments,
    ))
}

fn show_configuration(config: &Config, program: &Path, key: &ApiKey) -> Result<(), CliError> {
    let mut env = serde_json::Map::new();
    env.insert("SKILLKEEP_API_KEY".to_owned(), json!(key.reveal()));
    env.extend(local_registry::path_settings(config).map(|(name, value)| (name.to_owned(), json!(value))));
    let entry = json!({"mcpServers": {"skillkeep": {"command": program, "args": ["stdio"], "env": env}}});
    let pretty = serde_json::to_string_pretty(&entry)
        .map_err(|error| CliError::new(CliErrorKind::Internal, format!("cannot write JSON: {error}")))?;
    let indented: String = pretty.lines().map(|line| format!("   {line}\n")).collect();
    output::line(&format!(
        "6. Paste this into your assistant's MCP configuration (Claude Code: .mcp.json, Cursor: .cursor/mcp.json, Gemini CLI: \
         .gemini/settings.json), or let `skillkeep connect` write it:\n\n{indented}\n   To \
         serve remote agents, run `{} serve`; they send the key as \"Authorization: Bearer …\" to http://127.0.0.1:8787/mcp.",
        program.display(),
    ))
}
