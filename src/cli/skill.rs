//! `skillkeep skill`: read and manage the skills of a tenant.

mod change;
mod read;
mod rescan;

use clap::Subcommand;

use super::database::{self, Database, db_failure};
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use crate::ids::Slug;
use crate::registry::fork::ForkError;
use crate::registry::management::ManageError;
use crate::registry::publish::PublishError;
use crate::search;
use crate::tenancy::users::Email;

#[derive(Debug, Subcommand)]
pub(super) enum SkillCommand {
    /// List skills with version, owner, rating and installs
    List {
        /// Show archived skills too
        #[arg(long)]
        archived: bool,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Show one skill: state, versions, findings, reviews
    Show {
        #[command(flatten)]
        version: VersionArgs,
    },
    /// Search the published skills
    ///
    /// Example: skillkeep skill search fill in a PDF form
    Search {
        /// The task in plain words
        #[arg(required = true)]
        words: Vec<String>,
        /// Maximum number of hits
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=100))]
        limit: u16,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// List the files of a version with their digests
    Files {
        #[command(flatten)]
        version: VersionArgs,
    },
    /// Show what differs between two versions
    ///
    /// Example: skillkeep skill diff fill-pdf 1.0 1.1
    Diff {
        /// The skill, by its slug
        skill: String,
        /// The older version
        from: String,
        /// The newer version
        to: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// List the versions of a skill, newest first
    History {
        /// The skill, by its slug
        skill: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Publish a folder or an archive: `skillkeep publish`
    Publish(Box<super::publish::PublishArgs>),
    /// Copy a skill under a new name
    Fork {
        #[command(flatten)]
        version: VersionArgs,
        /// The slug of the copy
        #[arg(long = "as", value_name = "SLUG")]
        new_name: Slug,
    },
    /// Submit a draft for publication
    Submit {
        #[command(flatten)]
        version: VersionArgs,
    },
    /// Withdraw a version, or all of them with --all
    Yank {
        #[command(flatten)]
        version: VersionArgs,
        /// Withdraw every version
        #[arg(long, conflicts_with = "version")]
        all: bool,
        /// Reason, shown to users who have the version
        #[arg(long, required_unless_present = "undo")]
        reason: Option<String>,
        /// Publish the withdrawn version again
        #[arg(long, conflicts_with_all = ["all", "reason"], requires = "version")]
        undo: bool,
    },
    /// Hide a skill from every list
    Archive {
        #[command(flatten)]
        skill: SkillArgs,
    },
    /// Bring an archived skill back
    Restore {
        #[command(flatten)]
        skill: SkillArgs,
    },
    /// Withdraw every version and archive the skill
    Remove {
        #[command(flatten)]
        skill: SkillArgs,
        /// Reason, shown to users who have the version
        #[arg(long)]
        reason: String,
    },
    /// Rename a skill; the old slug leads to it
    Rename {
        #[command(flatten)]
        skill: SkillArgs,
        /// The new slug
        #[arg(long, value_name = "SLUG")]
        to: Slug,
    },
    /// Give a skill to another user
    Transfer {
        #[command(flatten)]
        skill: SkillArgs,
        /// The new owner's email address
        #[arg(long, value_name = "EMAIL")]
        to: Email,
    },
    /// Say that a skill should no longer be used
    Deprecate {
        #[command(flatten)]
        skill: SkillArgs,
        /// Reason
        #[arg(long, default_value = "")]
        note: String,
        /// The skill to use instead
        #[arg(long, value_name = "SLUG")]
        successor: Option<String>,
        /// Lift the deprecation
        #[arg(long, conflicts_with_all = ["note", "successor"])]
        undo: bool,
    },
    /// Allow a quarantined version in spite of its findings
    Override {
        #[command(flatten)]
        version: VersionArgs,
        /// Reason
        #[arg(long)]
        reason: String,
    },
    /// Scan versions again after the rules changed
    Rescan {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Delete a skill and its files permanently
    ///
    /// Usage events and audit entries stay. Example: skillkeep skill purge fill-pdf --reason "court order" --confirm
    /// fill-pdf
    Purge {
        #[command(flatten)]
        skill: SkillArgs,
        /// Reason, for the audit log
        #[arg(long)]
        reason: String,
        /// The slug again, as confirmation
        #[arg(long, value_name = "SLUG")]
        confirm: String,
    },
}

#[derive(Debug, Clone, clap::Args)]
pub(super) struct SkillArgs {
    /// The skill, by its slug
    skill: String,
    #[command(flatten)]
    tenant: TenantArg,
}

#[derive(Debug, Clone, clap::Args)]
// `--version` is the version of the skill.
#[command(disable_version_flag = true)]
pub(super) struct VersionArgs {
    /// The skill, by its slug
    skill: String,
    /// The version; the latest or newest if omitted
    #[arg(long, value_name = "VERSION")]
    version: Option<String>,
    #[command(flatten)]
    tenant: TenantArg,
}

impl SkillCommand {
    fn tenant(&self) -> &str {
        let tenant = match self {
            Self::Publish(args) => return args.tenant(),
            Self::List { tenant, .. }
            | Self::Search { tenant, .. }
            | Self::Diff { tenant, .. }
            | Self::History { tenant, .. }
            | Self::Rescan { tenant } => tenant,
            Self::Show { version }
            | Self::Files { version }
            | Self::Fork { version, .. }
            | Self::Submit { version }
            | Self::Yank { version, .. }
            | Self::Override { version, .. } => &version.tenant,
            Self::Archive { skill }
            | Self::Restore { skill }
            | Self::Remove { skill, .. }
            | Self::Rename { skill, .. }
            | Self::Transfer { skill, .. }
            | Self::Deprecate { skill, .. }
            | Self::Purge { skill, .. } => &skill.tenant,
        };
        &tenant.slug
    }
}

pub(super) async fn run(config: &Config, command: SkillCommand) -> Result<(), CliError> {
    if let SkillCommand::Publish(args) = command {
        return super::publish::run(config, *args).await;
    }
    Database::with_admin(config, async |db| {
        let tenant = command.tenant().to_owned();
        if let SkillCommand::Purge {
            skill,
            reason,
            confirm,
        } = &command
        {
            return change::purge(config, db, &tenant, &skill.skill, reason, confirm).await;
        }
        if let SkillCommand::Rescan { .. } = &command {
            return rescan::run(config, db, &tenant).await;
        }
        let tx = database::tenant_tx(db, &tenant).await?;
        if read::is_read(&command) {
            return read::run(config, &tx, command).await;
        }
        let message = change::run(config, &tx, command).await?;
        search::commit(tx).await.map_err(db_failure)?;
        message.print(config)
    })
    .await
}

pub(super) fn manage_failure(error: ManageError) -> CliError {
    match error {
        ManageError::Db(error) => db_failure(error),
        ManageError::UnknownSkill => CliError::new(
            CliErrorKind::NotFound,
            "there is no such skill; `skillkeep skill list --archived` shows the skills of the tenant",
        ),
        ManageError::UnknownVersion(_) | ManageError::UnknownSuccessor(_) | ManageError::UnknownUser(_) => {
            CliError::new(CliErrorKind::NotFound, error.to_string())
        }
        ManageError::Signing(_)
        | ManageError::Denied(_)
        | ManageError::NotPermitted(_)
        | ManageError::WrongState { .. }
        | ManageError::Taken(_) => CliError::new(CliErrorKind::Refused, error.to_string()),
    }
}

fn fork_failure(error: ForkError) -> CliError {
    match error {
        ForkError::Manage(error) => manage_failure(error),
        ForkError::Publish(PublishError::Db(error)) => db_failure(error),
        ForkError::Publish(error) => CliError::new(CliErrorKind::Refused, error.to_string()),
        ForkError::Document(reason) => CliError::new(CliErrorKind::Internal, reason),
    }
}
