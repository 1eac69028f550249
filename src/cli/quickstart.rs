//! `skillkeep quickstart`: from nothing to an answered tool call, on skillkeep's own database.

use std::path::Path;

use rmcp::model::{CallToolRequestParams, CallToolResult};
use rmcp::transport::TokioChildProcess;
use rmcp::{RoleClient, ServiceExt as _, service::RunningService};
use serde_json::{Value, json};
use tokio::process::Command;

use super::database::{self, Database, db_failure};
use super::output;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::registry::audit::{self, Entry};
use crate::registry::usage;
use crate::registry::{publish, samples};
use crate::tenancy::api_keys::{self, NewKey};
use crate::tenancy::users::{self, Email};
use crate::tenancy::{ApiKey, CallLimits, Scope, Scopes};

#[derive(Debug, clap::Args)]
pub(super) struct QuickstartArgs {
    /// What to search for in the first call
    #[arg(default_value = "write the release notes of the next version")]
    query: String,
}

const USER: &str = "quickstart@localhost";
const TENANT: &str = "default";

pub(super) async fn run(config: &Config, args: QuickstartArgs) -> Result<(), CliError> {
    let database = Database::open(config).await?;
    let outcome = set_up_and_call(config, &database, &args.query).await;
    database.close().await;
    outcome
}

async fn set_up_and_call(config: &Config, database: &Database, query: &str) -> Result<(), CliError> {
    let db = database.admin().await?;
    output::line(if database.is_embedded() {
        "1. PostgreSQL runs on a private socket, with row level security in force."
    } else {
        "1. The database of DATABASE_URL answers, and its schema is right."
    })?;
    let names = store_samples(&db).await?;
    output::line(&format!(
        "2. The tenant {TENANT} holds these sample skills: {}.",
        names.join(", ")
    ))?;
    let key = create_key(&db).await?;
    output::line(&format!(
        "3. {USER} has an API key. It is shown only here:\n\n   {}\n",
        key.reveal()
    ))?;
    let program = std::env::current_exe().map_err(|error| {
        CliError::new(
            CliErrorKind::Internal,
            format!("skillkeep cannot find its own program: {error}"),
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

async fn store_samples(db: &AdminDb) -> Result<Vec<String>, CliError> {
    let tenant = database::tenant(db, TENANT).await?;
    let actor = database::operator();
    let mut names = Vec::new();
    for sample in samples::all().map_err(|error| CliError::new(CliErrorKind::Internal, error))? {
        let tx = crate::db::TenantTx::begin_as_admin(db, tenant.id)
            .await
            .map_err(db_failure)?;
        let new = publish::NewVersion {
            source: &format!("samples/{}", sample.folder.folder_name),
            folder: &sample.folder,
            document: &sample.document,
            actor: &actor,
        };
        let stored = publish::store(&tx, &new).await.map_err(|error| {
            CliError::new(
                CliErrorKind::Internal,
                format!("a sample skill could not be stored: {error}"),
            )
        })?;
        tx.commit().await.map_err(db_failure)?;
        names.push(stored.slug);
    }
    Ok(names)
}

async fn create_key(db: &AdminDb) -> Result<ApiKey, CliError> {
    let email: Email = USER
        .parse()
        .map_err(|words: String| CliError::new(CliErrorKind::Internal, words))?;
    let tx = database::tenant_tx(db, TENANT).await?;
    let user = users::find_or_create(&tx, &email, "").await.map_err(db_failure)?;
    if user.created {
        super::user::audit_created(&tx, user.id).await?;
    }
    let new = NewKey {
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
    let (id, key) = api_keys::create(&tx, &new).await.map_err(db_failure)?;
    let actor = database::operator();
    let subject = id.to_string();
    let details = json!({"after": {"user": user.id, "scopes": new.scopes}});
    let entry = Entry {
        actor: &actor,
        action: "key.create",
        subject: &subject,
        details,
        source: "cli",
    };
    audit::write(&tx, &entry).await.map_err(db_failure)?;
    tx.commit().await.map_err(db_failure)?;
    Ok(key)
}

/// What an assistant does: starts this program and speaks MCP with it over its stdin and stdout.
async fn call(config: &Config, program: &Path, key: &ApiKey, query: &str) -> Result<Value, CliError> {
    let failed =
        |words: String| CliError::new(CliErrorKind::Internal, format!("the first call failed: {words}"));
    let mut command = Command::new(program);
    command.arg("stdio").env("SKILLKEEP_API_KEY", key.reveal());
    if let Some(url) = &config.database_url {
        command.env("DATABASE_URL", url.reveal());
    }
    for (name, value) in [
        ("SKILLKEEP_DATA_DIR", &config.data_dir),
        ("SKILLKEEP_PG_BIN", &config.pg_bin),
    ] {
        if let Some(value) = value {
            command.env(name, value);
        }
    }
    let child = TokioChildProcess::new(command).map_err(|error| failed(error.to_string()))?;
    let client: RunningService<RoleClient, ()> =
        ().serve(child).await.map_err(|error| failed(error.to_string()))?;
    let mut arguments = serde_json::Map::new();
    arguments.insert("query".to_owned(), json!(query));
    arguments.insert("limit".to_owned(), json!(3));
    let request = CallToolRequestParams::new("search_skills").with_arguments(arguments);
    let called = client.call_tool(request).await;
    // Its end first: the child leaves the database in good order.
    client.cancel().await.map_err(|error| failed(error.to_string()))?;
    let result: CallToolResult = called.map_err(|error| failed(error.to_string()))?;
    result
        .structured_content
        .ok_or_else(|| failed("the answer has no structured content".to_owned()))
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
        .ok_or_else(|| CliError::new(CliErrorKind::Internal, "the first call left no usage event"))?;
    output::line(&format!(
        "\n5. The call left its usage event:\n\n   {}\n   {} by {} over {} ({} {}): {}, {:.1} ms\n   {}\n",
        event.id,
        event.tool,
        event.email.as_deref().unwrap_or("-"),
        event.transport,
        event.client_name.as_deref().unwrap_or("-"),
        event.protocol_version.as_deref().unwrap_or("-"),
        event.outcome,
        std::time::Duration::from_micros(event.duration_us.unsigned_abs()).as_secs_f64() * 1e3,
        event.arguments,
    ))
}

fn show_configuration(config: &Config, program: &Path, key: &ApiKey) -> Result<(), CliError> {
    let mut env = serde_json::Map::new();
    env.insert("SKILLKEEP_API_KEY".to_owned(), json!(key.reveal()));
    for (name, value) in [
        ("SKILLKEEP_DATA_DIR", &config.data_dir),
        ("SKILLKEEP_PG_BIN", &config.pg_bin),
    ] {
        if let Some(value) = value {
            env.insert(name.to_owned(), json!(value));
        }
    }
    if config.database_url.is_some() {
        env.insert("DATABASE_URL".to_owned(), json!("the server's DATABASE_URL"));
    }
    let entry = json!({"mcpServers": {"skillkeep": {"command": program, "args": ["stdio"], "env": env}}});
    let pretty = serde_json::to_string_pretty(&entry)
        .map_err(|error| CliError::new(CliErrorKind::Internal, format!("cannot write JSON: {error}")))?;
    let indented: String = pretty.lines().map(|line| format!("   {line}\n")).collect();
    output::line(&format!(
        "6. Paste this into your assistant's MCP configuration (Claude Code: .mcp.json, Cursor: .cursor/mcp.json, Gemini CLI: \
         .gemini/settings.json), or let `skillkeep connect` write it:\n\n{indented}\n   Or \
         serve remote agents with `{} serve`, and let them send the key as \"Authorization: Bearer …\" to http://127.0.0.1:8787/mcp.",
        program.display(),
    ))
}
