//! `skillkeep key`: create, list, limit, inspect, revoke and rotate API keys. A new key is the only text on stdout.

mod inspect;

use std::str::FromStr;
use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;

use super::database::{self, Database, db_failure, key_failure};
use super::duration::parse_duration;
use super::key_name;
use super::limit_args::{Limits, describe_limits};
use super::new_key;
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::ids::ApiKeyId;
use crate::registry::administration;
use crate::shown_text::is_unsafe;
use crate::tenancy::api_keys::{self, NewApiKey};
use crate::tenancy::users::Email;
use crate::tenancy::{CallLimits, Scopes, UnknownScope};
use crate::tools::ToolName;

/// A comma-separated list of scopes.
#[derive(Debug, Clone)]
pub(super) struct ScopeList(Scopes);

impl FromStr for ScopeList {
    type Err = UnknownScope;

    fn from_str(text: &str) -> Result<Self, UnknownScope> {
        Scopes::parse(text.split(',').map(str::trim).filter(|name| !name.is_empty())).map(Self)
    }
}

#[derive(Debug, Subcommand)]
pub(super) enum KeyCommand {
    /// Create an API key and print it; it cannot be shown again
    ///
    /// It may make 1200 calls a minute, unless --calls-per-minute says otherwise.
    Create(CreateArgs),
    /// List the API keys of a tenant
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Revoke an API key: it is rejected from the next call on
    Revoke {
        /// The key's name or id, or a part of its id
        ///
        /// A part is the beginning or the end of the id, at least 6 characters.
        key: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Change the rate limits of an API key
    Limit {
        /// The key's name or id, or a part of its id
        ///
        /// A part is the beginning or the end of the id, at least 6 characters.
        key: String,
        #[command(flatten)]
        limits: Limits,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Show whose API key a text is
    ///
    /// A typing error is detected without a database.
    Inspect(inspect::InspectArgs),
    /// Replace an API key and print the new one
    ///
    /// The new key has the same properties; the old one keeps working for the grace period.
    Rotate {
        /// The key's name or id, or a part of its id
        ///
        /// A part is the beginning or the end of the id, at least 6 characters.
        key: String,
        /// How long the old key keeps working, for example 12h
        #[arg(long, default_value = "24h", value_name = "TIME", value_parser = parse_duration)]
        grace: Duration,
        #[command(flatten)]
        tenant: TenantArg,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// The owner, by email address
    ///
    /// The user is created if the tenant has no such user.
    #[arg(long, value_name = "EMAIL")]
    user: Email,
    /// Permissions, comma-separated
    ///
    /// skills:read, skills:install, skills:publish, skills:review, usage:write, usage:read, admin
    #[arg(
        long,
        default_value = "skills:read,skills:install,usage:write",
        value_name = "LIST"
    )]
    scopes: ScopeList,
    /// A label, 1 to 100 characters
    #[arg(long, default_value = "key")]
    name: String,
    /// Expire after this time, for example 90d; never by default
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// The only skills that the key can see, comma-separated slugs
    ///
    /// Default: all skills.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    only_skills: Option<Vec<String>>,
    /// The only tools that the key can call, comma-separated
    ///
    /// Default: all tools.
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    only_tools: Option<Vec<String>>,
    #[command(flatten)]
    limits: Limits,
    #[command(flatten)]
    tenant: TenantArg,
}

pub(super) async fn run(config: &Config, command: KeyCommand) -> Result<(), CliError> {
    match command {
        KeyCommand::Create(ref args) => validate(args)?,
        // Opens the database itself: a typing error needs none.
        KeyCommand::Inspect(args) => return inspect::run(config, args).await,
        KeyCommand::List { .. }
        | KeyCommand::Revoke { .. }
        | KeyCommand::Limit { .. }
        | KeyCommand::Rotate { .. } => {}
    }
    Database::with_admin(config, async |db| run_with(config, db, command).await).await
}

async fn run_with(config: &Config, db: &AdminDb, command: KeyCommand) -> Result<(), CliError> {
    let begin = async |tenant: &TenantArg| database::tenant_tx(db, &tenant.slug).await;
    match command {
        KeyCommand::Create(args) => create(config, db, begin(&args.tenant).await?, args).await,
        KeyCommand::List { tenant } => list(config, &begin(&tenant).await?).await,
        KeyCommand::Revoke { key, tenant } => {
            let tx = begin(&tenant).await?;
            let id = key_name::find(&tx, &key).await?;
            revoke(config, tx, id).await
        }
        KeyCommand::Limit { key, limits, tenant } => {
            let tx = begin(&tenant).await?;
            let id = key_name::find(&tx, &key).await?;
            limit(config, tx, id, limits).await
        }
        KeyCommand::Rotate { key, grace, tenant } => {
            let tx = begin(&tenant).await?;
            let id = key_name::find(&tx, &key).await?;
            rotate(config, db, &tenant, tx, id, grace).await
        }
        KeyCommand::Inspect(args) => inspect::run(config, args).await,
    }
}

fn validate(args: &CreateArgs) -> Result<(), CliError> {
    let usage = |message: String| Err(CliError::new(CliErrorKind::Usage, message));
    if args.scopes.0.is_empty() {
        return usage("an API key needs at least one scope".to_owned());
    }
    if args.name.is_empty() || args.name.chars().count() > 100 || args.name.contains(is_unsafe) {
        return usage("the name of an API key must have 1 to 100 visible characters".to_owned());
    }
    let unknown = args
        .only_tools
        .iter()
        .flatten()
        .find(|tool| ToolName::from_name(tool).is_none());
    if let Some(tool) = unknown {
        let known: Vec<&str> = ToolName::ALL.iter().map(|tool| tool.as_str()).collect();
        return usage(format!(
            "\"{tool}\" is not a tool; the tools are {}",
            known.join(", ")
        ));
    }
    Ok(())
}

async fn create(config: &Config, db: &AdminDb, tx: TenantTx, args: CreateArgs) -> Result<(), CliError> {
    let actor = database::operator();
    let email = args.user.as_str();
    let user = administration::users::find_or_create(&tx, &actor, &args.user, "")
        .await
        .map_err(db_failure)?;
    let new = NewApiKey {
        user: user.id,
        name: args.name,
        scopes: args.scopes.0,
        only_skills: args.only_skills,
        only_tools: args.only_tools,
        expires_at: args.expires.map(|duration| Timestamp::now() + duration),
        call_limits: args.limits.of(CallLimits::OF_NEW_KEY),
    };
    let (id, key) = administration::api_keys::create(&tx, &actor, &new)
        .await
        .map_err(db_failure)?;
    tx.commit().await.map_err(db_failure)?;
    if user.created {
        output::note(&format!("Created the user {email}."));
    }
    if !user.active {
        output::note(&format!(
            "User {email} is suspended; the key will not work until the user is resumed."
        ));
    }
    let text = if config.json {
        json!({"id": id, "key": key.reveal(), "user": email, "scopes": new.scopes}).to_string()
    } else {
        key.reveal().to_owned()
    };
    new_key::hand_out(db, &args.tenant.slug, id, &text).await
}

async fn list(config: &Config, tx: &TenantTx) -> Result<(), CliError> {
    let keys = api_keys::list(tx).await.map_err(db_failure)?;
    if config.json {
        return output::json(&keys);
    }
    let rows = keys
        .into_iter()
        .map(|key| {
            let ends = output::timestamp_or_dash(key.ends_at());
            vec![
                key.id.to_string(),
                key.name,
                key.email,
                key.state,
                key.scopes.join(","),
                ends,
                output::timestamp_or_dash(key.last_used_at),
            ]
        })
        .collect();
    output::table(
        &["id", "name", "user", "state", "scopes", "ends", "last used"],
        rows,
        "The tenant has no API key.",
    )
}

async fn revoke(config: &Config, tx: TenantTx, id: ApiKeyId) -> Result<(), CliError> {
    administration::api_keys::revoke(&tx, &database::operator(), id)
        .await
        .map_err(key_failure)?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": id, "state": "revoked"}));
    }
    output::line(&format!("Revoked the key {id}."))
}

async fn rotate(
    config: &Config,
    db: &AdminDb,
    tenant: &TenantArg,
    tx: TenantTx,
    id: ApiKeyId,
    grace: Duration,
) -> Result<(), CliError> {
    let (new_id, key) = administration::api_keys::rotate(&tx, &database::operator(), id, grace)
        .await
        .map_err(key_failure)?;
    tx.commit().await.map_err(db_failure)?;
    let text = if config.json {
        json!({"id": new_id, "key": key.reveal(), "replaces": id}).to_string()
    } else {
        key.reveal().to_owned()
    };
    new_key::hand_out(db, &tenant.slug, new_id, &text).await?;
    if config.json {
        return Ok(());
    }
    output::note(&format!(
        "The key {id} keeps working for {} seconds.",
        grace.as_secs()
    ));
    Ok(())
}

async fn limit(config: &Config, tx: TenantTx, id: ApiKeyId, limits: Limits) -> Result<(), CliError> {
    if limits.is_empty() {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "nothing to change; give --calls-per-minute, --calls-per-month or both",
        ));
    }
    let change = |before| limits.of(before);
    let after = administration::api_keys::change_call_limits(&tx, &database::operator(), id, change)
        .await
        .map_err(key_failure)?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": id, "limits": after}));
    }
    output::line(&format!("The key {id} may make {}.", describe_limits(after)))
}
