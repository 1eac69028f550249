//! Stores the skills of an import, each in its own transaction, or all of a dry run in one that is rolled back.

use std::collections::BTreeMap;

use super::departed;
use super::read::ReadSkill;
use super::report::{ImportOutcome, Line, finding_lines};
use super::{ImportError, Job};
use crate::db::{AdminDb, DbError, TenantTx};
use crate::ids::TenantId;
use crate::registry::caller::Caller;
use crate::registry::publish::{
    self, DiagnosticLine, NewVersion, Placement, PublishError, PublishOutcome, Source,
};
use crate::registry::settings::{self, Settings};

pub(super) struct Stores<'a> {
    db: &'a AdminDb,
    tenant: TenantId,
    caller: &'a Caller,
    source_name: String,
    settings: Settings,
    fix: bool,
    prune: bool,
    /// The one transaction of a dry run, so that it sees the skills before it.
    dry_run: Option<TenantTx>,
    /// The paths in the source at which there is a skill, with its slug if it is stored.
    seen: BTreeMap<String, Option<String>>,
    /// Folders that could not be read. What is below them may still be there.
    unknown: Vec<String>,
}

impl<'a> Stores<'a> {
    pub(super) async fn begin(
        db: &'a AdminDb,
        tenant: TenantId,
        caller: &'a Caller,
        source_name: &str,
        job: &Job,
    ) -> Result<Self, DbError> {
        let mut tx = TenantTx::begin_as_admin(db, tenant).await?;
        let settings = settings::load(&tx).await?;
        let dry_run = if job.dry_run {
            tx.without_time_limit().await?;
            Some(tx)
        } else {
            tx.rollback().await?;
            None
        };
        Ok(Self {
            db,
            tenant,
            caller,
            source_name: source_name.to_owned(),
            settings,
            fix: job.fix,
            prune: job.prune,
            dry_run,
            seen: BTreeMap::new(),
            unknown: Vec::new(),
        })
    }

    /// Remembers what was found but not stored.
    pub(super) fn note(&mut self, line: &Line) {
        if line.outcome == ImportOutcome::Refused {
            self.seen.insert(line.source.clone(), None);
            self.unknown.push(line.source.clone());
        }
    }

    pub(super) async fn store(&mut self, skill: ReadSkill) -> Result<Line, ImportError> {
        let source = skill.source.clone();
        let line = match &self.dry_run {
            Some(tx) => self.store_in(tx, skill).await?,
            None => {
                let tx = TenantTx::begin_as_admin(self.db, self.tenant).await?;
                let line = self.store_in(&tx, skill).await?;
                match line.outcome {
                    ImportOutcome::Created | ImportOutcome::Updated => {
                        // All skills are indexed together after the import.
                        tx.set_index_pending(false);
                        tx.commit().await?;
                    }
                    ImportOutcome::Unchanged
                    | ImportOutcome::Refused
                    | ImportOutcome::LeftOut
                    | ImportOutcome::Departed
                    | ImportOutcome::Archived => tx.rollback().await?,
                }
                line
            }
        };
        self.seen.insert(source, line.skill.clone());
        Ok(line)
    }

    async fn store_in(&self, tx: &TenantTx, mut skill: ReadSkill) -> Result<Line, ImportError> {
        let mut line = Line::new(&skill.source, ImportOutcome::Refused);
        if self.fix
            && let Err(error) = self.name_as_slug(tx, &mut skill).await
        {
            return refused(line, skill, error);
        }
        let new = self.version(&skill);
        let stored = match publish::store(tx, &new).await {
            Ok(stored) => stored,
            Err(error) => {
                if let (PublishError::Db(_), Some(tx)) = (&error, &self.dry_run) {
                    // A failed statement ends the transaction of the dry run, which goes on without the skills before it.
                    tx.rollback_to_savepoint().await?;
                }
                return refused(line, skill, error);
            }
        };
        line.outcome = match stored.outcome {
            PublishOutcome::Created => ImportOutcome::Created,
            PublishOutcome::Updated | PublishOutcome::Submitted => ImportOutcome::Updated,
            PublishOutcome::Unchanged => ImportOutcome::Unchanged,
        };
        line.quarantined = stored.quarantined;
        line.latest = stored.is_latest;
        line.version = Some(stored.version);
        line.digest = Some(stored.digest);
        line.fixed = skill.fixed;
        line.notes = std::mem::take(&mut skill.notes);
        if stored.slug != skill.document.name.as_str() {
            line.notes
                .push(differing_name(&stored.slug, skill.document.name.as_str()));
        }
        line.findings = finding_lines(&skill.scan);
        line.skill = Some(stored.slug);
        Ok(line)
    }

    fn version<'s>(&'s self, skill: &'s ReadSkill) -> NewVersion<'s> {
        let placement = Placement::Source(Source {
            name: &self.source_name,
            path: &skill.source,
            prefix: skill.prefix.as_deref(),
        });
        let mut new = NewVersion::new(
            placement,
            &skill.folder,
            &skill.document,
            self.caller,
            &self.settings,
            &skill.scan,
        );
        new.version.clone_from(&skill.version);
        new
    }

    /// Makes the slug that the skill has or gets the name in `SKILL.md`, because assistants expect the folder's name there.
    async fn name_as_slug(&self, tx: &TenantTx, skill: &mut ReadSkill) -> Result<(), PublishError> {
        let slug = publish::planned_slug(tx, &self.version(skill)).await?;
        if slug != skill.document.name
            && let Err(reason) = skill.rename(&slug)
        {
            tracing::warn!(%reason, "cannot change the name of a skill");
        }
        Ok(())
    }

    /// Reports the skills that left the source, and archives them if the job says so.
    pub(super) async fn finish(self) -> Result<Vec<Line>, ImportError> {
        if self.seen.is_empty() {
            // More likely a wrong or empty folder than a source from which everything was removed.
            return Ok(Vec::new());
        }
        let is_dry_run = self.dry_run.is_some();
        let tx = match self.dry_run {
            Some(tx) => tx,
            None => TenantTx::begin_as_admin(self.db, self.tenant).await?,
        };
        let lines = departed::report(
            &tx,
            self.caller,
            &self.source_name,
            &self.seen,
            &self.unknown,
            self.prune,
        )
        .await?;
        if is_dry_run {
            tx.rollback().await?;
        } else {
            tx.set_index_pending(false);
            tx.commit().await?;
        }
        Ok(lines)
    }
}

/// The line of a skill that was not stored.
fn refused(mut line: Line, skill: ReadSkill, error: PublishError) -> Result<Line, ImportError> {
    line.reason = Some(match error {
        PublishError::Db(error) if error.is_unavailable() || error.is_missing_tenant() => {
            return Err(error.into());
        }
        PublishError::Db(error) => {
            tracing::error!(%error, "cannot store a skill");
            "the database rejected it; see the log on stderr".to_owned()
        }
        error @ (PublishError::NoSlug(_)
        | PublishError::Taken(_)
        | PublishError::Archived(_)
        | PublishError::NotAllowed
        | PublishError::StorageFull
        | PublishError::Denied(_)
        | PublishError::Signing(_)
        | PublishError::Version(_)
        | PublishError::VersionTaken { .. }) => error.to_string(),
    });
    line.notes = skill.notes;
    line.findings = finding_lines(&skill.scan);
    Ok(line)
}

fn differing_name(slug: &str, name: &str) -> DiagnosticLine {
    DiagnosticLine {
        code: "name_not_slug",
        breaks_a_rule: false,
        message: format!(
            "the skill is {slug} here, because {name} is taken, but SKILL.md names it {name}; assistants that expect the folder's name in SKILL.md may not load it: --fix writes {slug}"
        ),
    }
}
