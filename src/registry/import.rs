//! Import: every skill of a source, each in its own transaction, so that an invalid skill does not stop the others.

mod departed;
mod exported;
mod lock;
mod opened;
mod read;
mod report;
mod source_name;
mod store;

pub use opened::{OpenError, Opened};
pub use report::{FindingLine, ImportOutcome, Line};
pub use source_name::SourceNameError;

use std::path::PathBuf;

use tokio::sync::mpsc;
use tokio::task::JoinError;

use self::lock::ImportLock;
use self::read::{Item, Reader};
use self::store::Stores;
use super::audit::Actor;
use super::caller::Caller;
use super::private_keys::SigningKeys;
use crate::db::{AdminDb, DbError};
use crate::ids::TenantId;

/// Number of skills read ahead in parallel, so that reading overlaps with storing. Bounds the memory: 16 MiB a skill.
const READ_AHEAD: usize = 8;

/// What to import.
#[derive(Debug, Clone)]
pub struct Job {
    /// A folder or an archive.
    pub path: PathBuf,
    /// Name of the source. `None` derives it, see [`Opened::source_name`].
    pub source: Option<String>,
    /// Whether to store `SKILL.md` with repaired front matter, and with the slug as its name. The source itself is never changed.
    pub fix: bool,
    /// Patterns of files that are kept, see [`agent_skills::ReadOptions::include`].
    pub include: Vec<String>,
    /// Whether to archive skills that left the source.
    pub prune: bool,
    /// Whether to report what would happen and store nothing. Other publications wait meanwhile.
    pub dry_run: bool,
    /// Recorded in the audit log.
    pub actor: Actor,
    /// With which the versions are signed.
    pub signing_keys: SigningKeys,
}

/// Why an import stopped.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// A database failure that would also affect the next skill.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Imports every skill of the opened source and passes each to `report`, then what left the source. Waits while another import
/// into the tenant runs, after a call of `on_wait`.
///
/// # Errors
/// [`ImportError::Db`] if the database is unavailable or the tenant is erased during the import. Skills reported before are
/// stored, or were erased with the tenant.
pub async fn import(
    db: &AdminDb,
    tenant: TenantId,
    job: &Job,
    opened: Opened,
    on_wait: impl FnOnce(),
    mut report: impl FnMut(Line),
) -> Result<(), ImportError> {
    let lock = ImportLock::take(db, tenant, on_wait).await?;
    let caller = Caller::administrator(job.actor.clone()).with_signing_keys(job.signing_keys.clone());
    let mut stores = Stores::begin(db, tenant, &caller, opened.source_name(), job).await?;
    let (sender, mut items) = mpsc::channel(READ_AHEAD);
    let reader = Reader::new(job.fix);
    let finding = tokio::task::spawn_blocking(move || {
        reader.find(&opened, |task| {
            sender.blocking_send(tokio::task::spawn_blocking(task)).is_ok()
        });
        opened
    });
    while let Some(reading) = items.recv().await {
        match reading.await.map_err(|error| failed_read(&error))? {
            Some(Item::Skill(skill)) => report(stores.store(*skill).await?),
            Some(Item::Line(line)) => {
                stores.note(&line);
                report(line);
            }
            None => {}
        }
    }
    // Keeps the folder of an extracted archive until everything is read.
    let _opened = finding.await.map_err(|error| failed_read(&error))?;
    for line in stores.finish().await? {
        report(line);
    }
    lock.release().await?;
    Ok(())
}

fn failed_read(error: &JoinError) -> DbError {
    DbError::Corrupt(format!("reading the source failed: {error}"))
}
