//! `skillkeep distribute`: the skills that users should have.

use clap::Subcommand;
use serde_json::json;

use super::database::{self, Database, db_failure};
use super::group::group_failure;
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::ids::Slug;
use crate::registry::administration::distributions::{self as administration, DistributionError};
use crate::registry::distributions;

#[derive(Debug, clap::Args)]
// `--version` is the version of the skill.
#[command(disable_version_flag = true, args_conflicts_with_subcommands = true)]
pub(super) struct DistributeArgs {
    #[command(subcommand)]
    command: Option<DistributeCommand>,
    /// The skill, by its slug
    skill: Option<String>,
    /// Always this version; the latest if omitted
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    audience: AudienceArgs,
}

#[derive(Debug, clap::Args)]
struct AudienceArgs {
    /// Only the users of this group; all users if omitted
    #[arg(long, value_name = "GROUP")]
    group: Option<Slug>,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Subcommand)]
enum DistributeCommand {
    /// List the distributed skills
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// End the distribution of a skill; installed copies stay
    Remove {
        /// The skill, by its slug
        skill: String,
        #[command(flatten)]
        audience: AudienceArgs,
    },
}

pub(super) async fn run(config: &Config, args: DistributeArgs) -> Result<(), CliError> {
    Database::with_admin(config, async |db| match args.command {
        Some(DistributeCommand::List { tenant }) => list(config, db, &tenant.slug).await,
        Some(DistributeCommand::Remove { skill, audience }) => {
            change(config, db, &audience, &skill, Change::Remove).await
        }
        None => {
            let skill = args.skill.ok_or_else(|| {
                CliError::new(
                    CliErrorKind::Usage,
                    "name the skill to distribute, or use `list` or `remove`",
                )
            })?;
            let version = args.version.as_deref();
            change(config, db, &args.audience, &skill, Change::Set(version)).await
        }
    })
    .await
}

enum Change<'a> {
    Set(Option<&'a str>),
    Remove,
}

async fn change(
    config: &Config,
    db: &AdminDb,
    audience: &AudienceArgs,
    skill: &str,
    change: Change<'_>,
) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, &audience.tenant.slug).await?;
    let (actor, group) = (database::operator(), audience.group.as_ref());
    let (changed, version, is_distributed) = match change {
        Change::Set(version) => {
            let set = administration::set(&tx, &actor, skill, version, group).await;
            (set.map_err(failure)?, version, true)
        }
        Change::Remove => {
            let removed = administration::remove(&tx, &actor, skill, group).await;
            (removed.map_err(failure)?, None, false)
        }
    };
    tx.commit().await.map_err(db_failure)?;
    if config.json {
        return output::json(&json!({
            "skill": changed, "version": version, "group": group, "distributed": is_distributed,
        }));
    }
    let users = group.map_or_else(|| "all users".to_owned(), |group| format!("the group {group}"));
    let state = if is_distributed { "is now" } else { "is no longer" };
    let version = version.map_or_else(String::new, |version| format!(" {version}"));
    output::line(&format!("{changed}{version} {state} distributed to {users}."))
}

async fn list(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    let distributions = distributions::list(&tx).await.map_err(db_failure)?;
    if config.json {
        return output::json(&distributions);
    }
    let rows = distributions
        .into_iter()
        .map(|distribution| {
            vec![
                distribution.skill,
                distribution.version.unwrap_or_else(|| "latest".to_owned()),
                distribution.group.unwrap_or_else(|| "all users".to_owned()),
                distribution.created_by,
                output::timestamp(distribution.created_at),
            ]
        })
        .collect();
    output::table(
        &["skill", "version", "for", "by", "since"],
        rows,
        "No skill is distributed.",
    )
}

fn failure(error: DistributionError) -> CliError {
    match error {
        DistributionError::Group(error) => group_failure(error),
        DistributionError::Db(error) => db_failure(error),
        error @ (DistributionError::UnknownSkill(_)
        | DistributionError::UnknownVersion(_)
        | DistributionError::NotDistributed) => CliError::new(CliErrorKind::NotFound, error.to_string()),
    }
}
