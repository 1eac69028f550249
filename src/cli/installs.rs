//! `skillkeep installs` and `skillkeep recall`: who has which version.

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::deny::check_reason;
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::registry::administration::recall;
use crate::registry::installs::{self, Affected, AffectedAssistant, CopyFilter};
use crate::registry::{management, versions};
use crate::search;

#[derive(Debug, Subcommand)]
pub(super) enum InstallsCommand {
    /// List who has which version, last seen first
    // `--version` is the version of the skill.
    #[command(disable_version_flag = true)]
    List {
        /// Only copies of this skill, by its slug
        #[arg(long, value_name = "SLUG")]
        skill: Option<String>,
        /// Only copies of this user, by their email address
        #[arg(long, value_name = "EMAIL")]
        user: Option<String>,
        /// Only copies of this version
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
        /// Maximum number of copies
        #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
        limit: u32,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Count users, machines and copies of a version
    Affected {
        /// The skill, by its slug
        skill: String,
        /// The version
        #[arg(value_name = "VERSION")]
        label: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
}

#[derive(Debug, clap::Args)]
pub(super) struct RecallArgs {
    /// The skill, by its slug
    skill: String,
    /// The version
    #[arg(value_name = "VERSION")]
    label: String,
    /// Reason, shown at each check of a copy
    #[arg(long)]
    reason: String,
    #[command(flatten)]
    tenant: TenantArg,
}

pub(super) async fn run(config: &Config, command: InstallsCommand) -> Result<(), CliError> {
    Database::with_admin(config, async |db| match command {
        InstallsCommand::List {
            skill,
            user,
            version,
            limit,
            tenant,
        } => {
            let user = user.map(|user| user.to_lowercase());
            let filter = CopyFilter {
                skill: skill.as_deref(),
                user: user.as_deref(),
                version: version.as_deref(),
            };
            list(config, db, &tenant.slug, &filter, i64::from(limit)).await
        }
        InstallsCommand::Affected { skill, label, tenant } => {
            affected(config, db, &tenant.slug, &skill, &label).await
        }
    })
    .await
}

async fn list(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    filter: &CopyFilter<'_>,
    limit: i64,
) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let copies = installs::copies(&tx, filter, limit).await.map_err(db_failure)?;
    if config.json {
        return output::json(&copies);
    }
    let rows = copies
        .into_iter()
        .map(|copy| {
            let state = if copy.forbidden {
                format!("{}, withdrawn", copy.state)
            } else {
                copy.state
            };
            vec![
                copy.skill,
                copy.version,
                copy.user,
                copy.machine.unwrap_or_else(|| "-".to_owned()),
                copy.assistant,
                state,
                output::timestamp_or_dash(copy.last_seen_at),
                copy.folder,
            ]
        })
        .collect();
    output::table(
        &[
            "skill",
            "version",
            "user",
            "machine",
            "assistant",
            "state",
            "last seen",
            "folder",
        ],
        rows,
        "There are no such installs.",
    )
}

async fn affected(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    skill: &str,
    label: &str,
) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let (total, assistants) = affected_by(&tx, skill, label).await?;
    print(config, skill, label, &total, &assistants)
}

async fn affected_by(
    tx: &TenantTx,
    skill: &str,
    label: &str,
) -> Result<(Affected, Vec<AffectedAssistant>), CliError> {
    let missing = |message: String| CliError::new(CliErrorKind::NotFound, message);
    let found = management::find(tx, skill)
        .await
        .map_err(db_failure)?
        .ok_or_else(|| {
            missing(format!(
                "there is no skill {skill}; `skillkeep skill list` shows the skills"
            ))
        })?;
    let versions = versions::states(tx, &[found.id]).await.map_err(db_failure)?;
    let version = versions
        .iter()
        .find(|version| version.version == label)
        .ok_or_else(|| {
            missing(format!(
                "{skill} has no version {label}; `skillkeep skill history` shows them"
            ))
        })?;
    installs::affected(tx, version.id).await.map_err(db_failure)
}

/// Withdraws a version and says whom that reaches.
pub(super) async fn recall(config: &Config, args: RecallArgs) -> Result<(), CliError> {
    let reason = args.reason.trim();
    check_reason(reason)?;
    let caller = database::administrator(config)?;
    Database::with_admin(config, async |db| {
        let tx = database::tenant_tx(db, &args.tenant.slug).await?;
        let recalled = recall::recall(&tx, &caller, &args.skill, &args.label, reason)
            .await
            .map_err(super::skill::manage_failure)?;
        search::commit(tx).await.map_err(db_failure)?;
        if !config.json {
            output::line(&format!(
                "{} {} is withdrawn. The next check of each of these copies states the reason:",
                recalled.slug, recalled.version
            ))?;
        }
        print(
            config,
            &recalled.slug,
            &recalled.version,
            &recalled.total,
            &recalled.assistants,
        )
    })
    .await
}

fn print(
    config: &Config,
    skill: &str,
    version: &str,
    total: &Affected,
    assistants: &[AffectedAssistant],
) -> Result<(), CliError> {
    if config.json {
        return output::json(
            &json!({"skill": skill, "version": version, "total": total, "assistants": assistants}),
        );
    }
    let row = |name: &str, numbers: &Affected| {
        let numbers = [
            numbers.users,
            numbers.machines,
            numbers.copies,
            numbers.live,
            numbers.offered,
        ];
        let mut row = vec![name.to_owned()];
        row.extend(numbers.map(|number| number.to_string()));
        row
    };
    let mut rows = vec![row("all", total)];
    rows.extend(
        assistants
            .iter()
            .map(|assistant| row(&assistant.assistant, &assistant.numbers)),
    );
    output::table(
        &["assistant", "users", "machines", "copies", "live", "offered"],
        rows,
        "",
    )
}
