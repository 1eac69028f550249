//! Publishes in the local database, as an administrator.

use serde_json::{Value, json};

use super::PublishArgs;
use super::skill::CheckedSkill;
use crate::cli::database::{self, Database, db_failure};
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::registry::publish::{
    self, MAX_CHANGE_NOTE_CHARS, NewVersion, Placement, PublishError, PublishOutcome, StoredVersion,
};
use crate::registry::{scans, settings};
use crate::search;
use crate::tools::FindingLine;

pub(super) async fn publish(
    config: &Config,
    args: &PublishArgs,
    skill: CheckedSkill,
) -> Result<Value, CliError> {
    let database = Database::open(config).await?;
    let stored = match database.admin().await {
        Ok(db) => store(config, &db, args, &skill).await,
        Err(error) => Err(error),
    };
    database.close().await;
    stored.map(|(stored, findings)| report(&stored, &findings))
}

/// The stored version, and the findings of the scanner that count for the tenant.
async fn store(
    config: &Config,
    db: &AdminDb,
    args: &PublishArgs,
    skill: &CheckedSkill,
) -> Result<(StoredVersion, Vec<FindingLine>), CliError> {
    let usage = |message: String| CliError::new(CliErrorKind::Usage, message);
    let version = args.version.as_deref().map(str::parse).transpose();
    let version = version.map_err(|error: agent_skills::VersionError| usage(error.to_string()))?;
    let note = args.note.as_deref().unwrap_or_default();
    if note.chars().count() > MAX_CHANGE_NOTE_CHARS {
        return Err(usage(format!(
            "--note has more than {MAX_CHANGE_NOTE_CHARS} characters"
        )));
    }
    let caller = database::administrator(config)?;
    let scan = scans::scan_folder(&skill.folder);
    let tx = database::tenant_tx(db, &args.tenant).await?;
    let settings = settings::load(&tx).await.map_err(db_failure)?;
    let placement = Placement::Slug(args.skill.as_ref().unwrap_or(&skill.document.name));
    let new = NewVersion {
        version,
        change_note: note,
        draft: args.draft,
        ..NewVersion::new(
            placement,
            &skill.folder,
            &skill.document,
            &caller,
            &settings,
            &scan,
        )
    };
    let stored = publish::store(&tx, &new).await.map_err(failure)?;
    search::commit(tx).await.map_err(db_failure)?;
    Ok((stored, FindingLine::counted(&scan.findings, &settings)))
}

fn failure(error: PublishError) -> CliError {
    match error {
        PublishError::Db(error) => db_failure(error),
        PublishError::Version(error) => CliError::new(CliErrorKind::Findings, error.to_string()),
        error @ (PublishError::NoSlug(_)
        | PublishError::Taken(_)
        | PublishError::Archived(_)
        | PublishError::NotAllowed
        | PublishError::StorageFull
        | PublishError::Denied(_)
        | PublishError::Signing(_)
        | PublishError::VersionTaken { .. }) => CliError::new(CliErrorKind::Refused, error.to_string()),
    }
}

/// The same fields as the tool `publish_skill`.
fn report(stored: &StoredVersion, findings: &[FindingLine]) -> Value {
    let outcome = match stored.outcome {
        PublishOutcome::Created => "created",
        PublishOutcome::Updated => "updated",
        PublishOutcome::Submitted => "submitted",
        PublishOutcome::Unchanged => "unchanged",
    };
    json!({
        "outcome": outcome,
        "skill": stored.slug,
        "version": stored.version,
        "digest": stored.digest,
        "state": stored.state.as_str(),
        "quarantined": stored.quarantined,
        "findings": findings,
    })
}
