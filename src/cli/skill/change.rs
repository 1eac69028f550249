//! The commands that change a skill.

use serde_json::{Value, json};

use super::super::database::{self, db_failure};
use super::super::output;
use super::{SkillCommand, fork_failure, manage_failure};
use crate::config::Config;
use crate::db::{AdminDb, TenantTx};
use crate::error::{CliError, CliErrorKind};
use crate::registry::caller::Caller;
use crate::registry::management::{self, ManagedSkill, Yanked};
use crate::registry::{administration, fork, reviews, scans, settings};
use crate::search;

/// What a command did.
pub(super) struct Message {
    text: String,
    json: Value,
}

impl Message {
    fn new(text: String, json: Value) -> Self {
        Self { text, json }
    }

    pub(super) fn print(self, config: &Config) -> Result<(), CliError> {
        if config.json {
            output::json(&self.json)
        } else {
            output::line(&self.text)
        }
    }
}

fn caller() -> Caller {
    Caller::administrator(database::operator())
}

pub(super) async fn run(config: &Config, tx: &TenantTx, command: SkillCommand) -> Result<Message, CliError> {
    let caller = database::administrator(config)?;
    match command {
        SkillCommand::Fork { version, new_name } => {
            let (slug, label) = (version.skill.as_str(), version.version.as_deref());
            let settings = settings::load(tx).await.map_err(db_failure)?;
            let origin = fork::find_origin(tx, &caller, slug, label)
                .await
                .map_err(manage_failure)?;
            let stored = fork::fork(tx, &caller, &settings, &origin, &new_name, false)
                .await
                .map_err(fork_failure)?;
            let text = format!(
                "Copied {} {} to {} {} ({}).",
                origin.slug, origin.version, stored.slug, stored.version, stored.state
            );
            let json = json!({"skill": stored.slug, "version": stored.version, "state": stored.state.as_str(),
                              "digest": stored.digest, "origin": origin.slug, "origin_version": origin.version});
            Ok(Message::new(text, json))
        }
        SkillCommand::Submit { version } => {
            let settings = settings::load(tx).await.map_err(db_failure)?;
            let (skill, changed) =
                management::submit(tx, &caller, &settings, &version.skill, version.version.as_deref())
                    .await
                    .map_err(manage_failure)?;
            Ok(Message::new(
                format!("{} {} is now {}.", skill.slug, changed.version, changed.state),
                json!({"skill": skill.slug, "version": changed.version, "state": changed.state.as_str()}),
            ))
        }
        SkillCommand::Yank {
            version,
            all,
            reason,
            undo,
        } => {
            let label = version.version.as_deref();
            yank(tx, &caller, &version.skill, label, all, reason, undo).await
        }
        SkillCommand::Override { version, reason } => {
            override_findings(tx, &caller, &version.skill, version.version.as_deref(), &reason).await
        }
        SkillCommand::Archive { .. }
        | SkillCommand::Restore { .. }
        | SkillCommand::Remove { .. }
        | SkillCommand::Rename { .. }
        | SkillCommand::Transfer { .. }
        | SkillCommand::Deprecate { .. }
        | SkillCommand::List { .. }
        | SkillCommand::Show { .. }
        | SkillCommand::Search { .. }
        | SkillCommand::Files { .. }
        | SkillCommand::Diff { .. }
        | SkillCommand::History { .. }
        | SkillCommand::Rescan { .. }
        | SkillCommand::Purge { .. }
        | SkillCommand::Publish(_) => change_skill(tx, &caller, command).await,
    }
}

async fn change_skill(tx: &TenantTx, caller: &Caller, command: SkillCommand) -> Result<Message, CliError> {
    let (skill, done) = match command {
        SkillCommand::Archive { skill } => {
            let changed = management::set_archived(tx, caller, &skill.skill, true).await;
            (changed.map_err(manage_failure)?.0, "archived".to_owned())
        }
        SkillCommand::Restore { skill } => {
            let changed = management::set_archived(tx, caller, &skill.skill, false).await;
            (changed.map_err(manage_failure)?.0, "active".to_owned())
        }
        SkillCommand::Remove { skill, reason } => {
            management::yank(tx, caller, &skill.skill, Yanked::All, &reason)
                .await
                .map_err(manage_failure)?;
            let changed = management::set_archived(tx, caller, &skill.skill, true).await;
            (
                changed.map_err(manage_failure)?.0,
                "withdrawn and archived".to_owned(),
            )
        }
        SkillCommand::Rename { skill, to } => {
            let renamed = management::rename(tx, caller, &skill.skill, &to).await;
            let renamed = renamed.map_err(manage_failure)?;
            (renamed, format!("reached by the slug {} too", skill.skill))
        }
        SkillCommand::Transfer { skill, to } => {
            let changed = management::transfer(tx, caller, &skill.skill, &to).await;
            (
                changed.map_err(manage_failure)?,
                format!("owned by {}", to.as_str()),
            )
        }
        SkillCommand::Deprecate {
            skill,
            note,
            successor,
            undo,
        } => {
            let note = (!undo).then_some(note.as_str());
            deprecate(tx, caller, &skill.skill, note, successor.as_deref()).await?
        }
        SkillCommand::List { .. }
        | SkillCommand::Show { .. }
        | SkillCommand::Search { .. }
        | SkillCommand::Files { .. }
        | SkillCommand::Diff { .. }
        | SkillCommand::History { .. }
        | SkillCommand::Fork { .. }
        | SkillCommand::Submit { .. }
        | SkillCommand::Yank { .. }
        | SkillCommand::Override { .. }
        | SkillCommand::Rescan { .. }
        | SkillCommand::Purge { .. }
        | SkillCommand::Publish(_) => {
            return Err(CliError::new(
                CliErrorKind::Internal,
                "this command changes no skill",
            ));
        }
    };
    Ok(Message::new(
        format!("The skill {} is now {done}.", skill.slug),
        json!({"skill": skill.slug, "state": done}),
    ))
}

async fn deprecate(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    note: Option<&str>,
    successor: Option<&str>,
) -> Result<(ManagedSkill, String), CliError> {
    let changed = management::set_deprecation(tx, caller, slug, note, successor).await;
    let state = if note.is_some() {
        "deprecated"
    } else {
        "no longer deprecated"
    };
    Ok((changed.map_err(manage_failure)?, state.to_owned()))
}

async fn yank(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    label: Option<&str>,
    all: bool,
    reason: Option<String>,
    undo: bool,
) -> Result<Message, CliError> {
    let (skill, changed) = match (label, all, undo) {
        (Some(label), _, true) => {
            let undone = management::unyank(tx, caller, slug, label).await;
            let (skill, version) = undone.map_err(manage_failure)?;
            (skill, vec![version])
        }
        (Some(_), _, false) | (None, true, _) => {
            let which = label.map_or(Yanked::All, Yanked::One);
            let reason = reason.unwrap_or_default();
            management::yank(tx, caller, slug, which, &reason)
                .await
                .map_err(manage_failure)?
        }
        (None, false, _) => {
            return Err(CliError::new(
                CliErrorKind::Usage,
                "name the version with --version, or withdraw every version with --all",
            ));
        }
    };
    let versions: Vec<&str> = changed.iter().map(|version| version.version.as_str()).collect();
    let state = if undo { "published" } else { "yanked" };
    Ok(Message::new(
        format!("{} {}: {state}.", skill.slug, versions.join(", ")),
        json!({"skill": skill.slug, "versions": versions, "state": state}),
    ))
}

async fn override_findings(
    tx: &TenantTx,
    caller: &Caller,
    slug: &str,
    label: Option<&str>,
    reason: &str,
) -> Result<Message, CliError> {
    let opened = reviews::open(tx, caller, slug, label)
        .await
        .map_err(manage_failure)?;
    let (skill, version) = (opened.skill.slug, opened.version);
    if !version.quarantined {
        return Err(CliError::new(
            CliErrorKind::Refused,
            format!("version {} of {skill} is not quarantined", version.version),
        ));
    }
    management::refuse_denied(tx, version.digest)
        .await
        .map_err(manage_failure)?;
    scans::override_findings(tx, caller, &skill, version.digest, reason)
        .await
        .map_err(db_failure)?;
    Ok(Message::new(
        format!("{skill} {} is no longer quarantined.", version.version),
        json!({"skill": skill, "version": version.version, "quarantined": false}),
    ))
}

/// Archives the skill in a first transaction, so that search indexes forget it, and deletes it in a second one.
pub(super) async fn purge(
    config: &Config,
    db: &AdminDb,
    tenant: &str,
    slug: &str,
    reason: &str,
    confirm: &str,
) -> Result<(), CliError> {
    if slug != confirm {
        return Err(CliError::new(
            CliErrorKind::Usage,
            format!(
                "this deletes every version of {slug} and cannot be undone; confirm with --confirm {slug}"
            ),
        ));
    }
    let caller = caller();
    let tx = database::tenant_tx(db, tenant).await?;
    management::set_archived(&tx, &caller, slug, true)
        .await
        .map_err(manage_failure)?;
    search::commit(tx).await.map_err(db_failure)?;
    let tx = database::tenant_tx(db, tenant).await?;
    let skill = management::find(&tx, slug)
        .await
        .map_err(db_failure)?
        .ok_or_else(|| manage_failure(management::ManageError::UnknownSkill))?;
    let counts = administration::skills::purge(&tx, &caller.actor, &skill, reason)
        .await
        .map_err(db_failure)?;
    let id = tx.tenant();
    search::commit(tx).await.map_err(db_failure)?;
    // The commit indexed the first few hundred skills; the purge removed the index of all.
    search::compact(|| TenantTx::begin_as_admin(db, id))
        .await
        .map_err(db_failure)?;
    if config.json {
        let counts: serde_json::Map<String, Value> = counts
            .into_iter()
            .map(|(table, count)| (table, json!(count)))
            .collect();
        return output::json(&json!({"skill": skill.slug, "deleted": counts}));
    }
    let rows = counts
        .into_iter()
        .map(|(table, count)| vec![table, count.to_string()])
        .collect();
    output::table(&["table", "rows deleted"], rows, "")
}
