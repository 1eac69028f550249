//! `skillkeep key`: a key's life at the command line. The key itself goes to stdout, alone, and only once.

mod inspect;

use std::str::FromStr;
use std::time::Duration;

use clap::Subcommand;
use jiff::Timestamp;
use serde_json::json;
use uuid::Uuid;

use super::database::{self, Database, db_failure, key_failure};
use super::limit_args::{Limits, words_for};
use super::output;
use crate::config::Config;
use crate::db::TenantTx;
use crate::error::{CliError, CliErrorKind};
use crate::ids::ApiKeyId;
use crate::registry::audit::{self, Entry};
use crate::tenancy::api_keys::{self, NewKey};
use crate::tenancy::users::{self, Email};
use crate::tenancy::{CallLimits, Scopes, UnknownScope};
use crate::tools::ToolName;

/// A length of time such as `90d`, `12h`, `30m` or `45s`.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span(Duration);

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || "a length of time looks like 90d, 12h, 30m or 45s, and ten years are the most".to_owned();
        let (number, unit) = text
            .split_at_checked(text.len().saturating_sub(1))
            .ok_or_else(wrong)?;
        let number: u64 = number.parse().map_err(|_| wrong())?;
        let seconds = match unit {
            "d" => 24 * 60 * 60,
            "h" => 60 * 60,
            "m" => 60,
            "s" => 1,
            _ => return Err(wrong()),
        };
        let total = number
            .checked_mul(seconds)
            .filter(|total| *total <= 3660 * 24 * 60 * 60)
            .ok_or_else(wrong)?;
        Ok(Self(Duration::from_secs(total)))
    }
}

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
    /// Create a key and print it, this one time
    Create(CreateArgs),
    /// List a tenant's keys
    List {
        /// The tenant's short name
        #[arg(long, default_value = "default", value_name = "SLUG")]
        tenant: String,
    },
    /// End a key from the next call on
    Revoke {
        /// The key's id, as the list shows it
        id: Uuid,
        /// The tenant's short name
        #[arg(long, default_value = "default", value_name = "SLUG")]
        tenant: String,
    },
    /// Change how many calls a key may make
    Limit {
        /// The key's id, as the list shows it
        id: Uuid,
        #[command(flatten)]
        limits: Limits,
        /// The tenant's short name
        #[arg(long, default_value = "default", value_name = "SLUG")]
        tenant: String,
    },
    /// Tell whose key a text is that was found somewhere; a typing error is told without a database
    Inspect(inspect::InspectArgs),
    /// Replace a key by a new one with the same rights, and print the new one
    Rotate {
        /// The key's id, as the list shows it
        id: Uuid,
        /// How long the old key goes on working
        #[arg(long, default_value = "24h", value_name = "TIME")]
        grace: Span,
        /// The tenant's short name
        #[arg(long, default_value = "default", value_name = "SLUG")]
        tenant: String,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct CreateArgs {
    /// Whose key it is, by email address; the user is created if need be
    #[arg(long, value_name = "EMAIL")]
    user: Email,
    /// What it may do, comma-separated: skills:read, skills:install, skills:publish, skills:review, usage:write, usage:read, admin
    #[arg(
        long,
        default_value = "skills:read,skills:install,usage:write",
        value_name = "LIST"
    )]
    scopes: ScopeList,
    /// What it is for
    #[arg(long, default_value = "key")]
    name: String,
    /// When it ends by itself, for example 90d; never when left out
    #[arg(long, value_name = "TIME")]
    expires: Option<Span>,
    /// The only skills it may see, by slug, comma-separated
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    only_skills: Option<Vec<String>>,
    /// The only tools it may call, comma-separated
    #[arg(long, value_delimiter = ',', value_name = "LIST")]
    only_tools: Option<Vec<String>>,
    #[command(flatten)]
    limits: Limits,
    /// The tenant's short name
    #[arg(long, default_value = "default", value_name = "SLUG")]
    tenant: String,
}

pub(super) async fn run(config: &Config, command: KeyCommand) -> Result<(), CliError> {
    match command {
        KeyCommand::Create(ref args) => check(args)?,
        KeyCommand::Inspect(args) => return inspect::run(config, args).await,
        KeyCommand::List { .. }
        | KeyCommand::Revoke { .. }
        | KeyCommand::Limit { .. }
        | KeyCommand::Rotate { .. } => {}
    }
    let database = Database::open(config).await?;
    let outcome = async {
        let db = database.admin().await?;
        let of = async |tenant: &str| database::tenant_tx(&db, tenant).await;
        match command {
            KeyCommand::Create(args) => create(config, of(&args.tenant).await?, args).await,
            KeyCommand::List { tenant } => list(config, &of(&tenant).await?).await,
            KeyCommand::Revoke { id, tenant } => {
                revoke(config, of(&tenant).await?, ApiKeyId::from_uuid(id)).await
            }
            KeyCommand::Limit { id, limits, tenant } => {
                limit(config, of(&tenant).await?, ApiKeyId::from_uuid(id), limits).await
            }
            KeyCommand::Rotate { id, grace, tenant } => {
                rotate(config, of(&tenant).await?, ApiKeyId::from_uuid(id), grace.0).await
            }
            // Answered above: a typing error needs no database.
            KeyCommand::Inspect(_) => Ok(()),
        }
    }
    .await;
    database.close().await;
    outcome
}

fn check(args: &CreateArgs) -> Result<(), CliError> {
    let wrong = |words: String| Err(CliError::new(CliErrorKind::Usage, words));
    if args.scopes.0.is_empty() {
        return wrong("a key needs at least one scope".to_owned());
    }
    if args.name.is_empty() || args.name.chars().count() > 100 {
        return wrong("a key's name has 1 to 100 characters".to_owned());
    }
    let unknown = args
        .only_tools
        .iter()
        .flatten()
        .find(|tool| ToolName::from_name(tool).is_none());
    if let Some(tool) = unknown {
        let known: Vec<&str> = ToolName::ALL.iter().map(|tool| tool.as_str()).collect();
        return wrong(format!(
            "\"{tool}\" is not a tool; the tools are {}",
            known.join(", ")
        ));
    }
    Ok(())
}

async fn create(config: &Config, tx: TenantTx, args: CreateArgs) -> Result<(), CliError> {
    let user = users::find_or_create(&tx, &args.user, "")
        .await
        .map_err(db_failure)?;
    let new = NewKey {
        user: user.id,
        name: args.name,
        scopes: args.scopes.0,
        only_skills: args.only_skills,
        only_tools: args.only_tools,
        expires_at: args.expires.map(|span| Timestamp::now() + span.0),
        call_limits: args.limits.of(CallLimits::default()),
    };
    let (id, key) = api_keys::create(&tx, &new).await.map_err(db_failure)?;
    // Without its name: people call their keys after themselves, and the log outlives them.
    let after = json!({
        "user": user.id, "scopes": new.scopes, "only_skills": new.only_skills, "only_tools": new.only_tools,
        "expires_at": new.expires_at, "limits": new.call_limits,
    });
    if user.created {
        super::user::audit_created(&tx, user.id).await?;
    }
    audit(&tx, "key.create", id, json!({"after": after})).await?;
    tx.commit().await.map_err(db_failure)?;
    if user.created {
        eprintln!("Created the user {}.", args.user.as_str());
    }
    if !user.active {
        eprintln!(
            "The user {} is suspended: the key works only once he is resumed.",
            args.user.as_str()
        );
    }
    if config.json {
        return output::json(
            &json!({"id": id, "key": key.reveal(), "user": args.user.as_str(), "scopes": new.scopes}),
        );
    }
    output::line(key.reveal())
}

async fn list(config: &Config, tx: &TenantTx) -> Result<(), CliError> {
    let keys = api_keys::list(tx).await.map_err(db_failure)?;
    if config.json {
        return output::json(&keys);
    }
    let rows = keys
        .into_iter()
        .map(|key| {
            let ends = [key.expires_at, key.revoked_at].into_iter().flatten().min();
            vec![
                key.id.to_string(),
                key.name,
                key.email,
                key.state,
                key.scopes.join(","),
                output::moment_or_dash(ends),
                output::moment_or_dash(key.last_used_at),
            ]
        })
        .collect();
    output::table(
        &["id", "name", "user", "state", "scopes", "ends", "last used"],
        rows,
        "This tenant has no key yet.",
    )
}

async fn revoke(config: &Config, tx: TenantTx, id: ApiKeyId) -> Result<(), CliError> {
    let before = api_keys::standing(&tx, id).await.map_err(key_failure)?;
    api_keys::revoke(&tx, id).await.map_err(key_failure)?;
    let after = api_keys::standing(&tx, id).await.map_err(key_failure)?;
    audit(&tx, "key.revoke", id, json!({"before": before, "after": after})).await?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": id, "state": "revoked"}));
    }
    output::line(&format!(
        "The key {id} is revoked; no further call can be made with it."
    ))
}

async fn rotate(config: &Config, tx: TenantTx, id: ApiKeyId, grace: Duration) -> Result<(), CliError> {
    let before = api_keys::standing(&tx, id).await.map_err(key_failure)?;
    let (new_id, key) = api_keys::rotate(&tx, id, grace).await.map_err(key_failure)?;
    let after = api_keys::standing(&tx, id).await.map_err(key_failure)?;
    let successor = api_keys::standing(&tx, new_id).await.map_err(key_failure)?;
    let change = json!({
        "before": before, "after": after, "grace_seconds": grace.as_secs(), "successor": successor,
    });
    audit(&tx, "key.rotate", id, change).await?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": new_id, "key": key.reveal(), "replaces": id}));
    }
    eprintln!("The key {id} goes on working for {} seconds.", grace.as_secs());
    output::line(key.reveal())
}

async fn limit(config: &Config, tx: TenantTx, id: ApiKeyId, limits: Limits) -> Result<(), CliError> {
    if limits.is_empty() {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "say what to change: --calls-per-minute, --calls-per-month, or both",
        ));
    }
    // Read and written in one transaction, in which the key's row is locked.
    let before = api_keys::call_limits(&tx, id).await.map_err(key_failure)?;
    let after = limits.of(before);
    api_keys::set_call_limits(&tx, id, after)
        .await
        .map_err(key_failure)?;
    audit(&tx, "key.limit", id, json!({"before": before, "after": after})).await?;
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({"id": id, "limits": after}));
    }
    output::line(&format!("The key {id} may make {}.", words_for(after)))
}

async fn audit(
    tx: &TenantTx,
    action: &str,
    id: ApiKeyId,
    details: serde_json::Value,
) -> Result<(), CliError> {
    let actor = database::operator();
    let subject = id.to_string();
    let entry = Entry {
        actor: &actor,
        action,
        subject: &subject,
        details,
        source: "cli",
    };
    audit::write(tx, &entry).await.map_err(db_failure)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read() {
        assert_eq!("90d".parse::<Span>().unwrap().0, Duration::from_secs(90 * 86_400));
        assert_eq!("0s".parse::<Span>().unwrap().0, Duration::ZERO);
        for wrong in ["", "d", "90", "-1d", "1y", "99999999d", "1é"] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }
}
