//! Carries out a plan.

use serde::Serialize;

use crate::error::Error;
use crate::marker::Marker;
use crate::own_names::new_id;
use crate::plan::{FileAction, Options, Plan, PlanKind, make};
use crate::record::{InstallRecord, change_marker};
use crate::recover::{Recovered, recover_locked, retire};
use crate::release::VerifiedRelease;
use crate::skills_folder::SkillsFolder;
use crate::stage::{self, Content};
use crate::tree::Target;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Applied {
    pub kind: PlanKind,
    /// Files of persons that stayed, relative to the skill's folder.
    pub kept: Vec<String>,
    /// Files that are in the backup now, relative to the skills folder: those that `force` replaced, and those that changed
    /// while the skill was written.
    pub backed_up: Vec<String>,
    /// Why the old folder is not yet gone, if it is not. The skill is installed; the next change takes the folder away.
    pub left_over: Option<String>,
    pub recovered: Recovered,
}

impl Plan {
    /// Carries out the plan, in one step for everybody who reads the skill: they see the old folder or the new one.
    ///
    /// With [`PlanKind::Current`] nothing is written but the receipt and pin of the record, where the marker file has others.
    ///
    /// # Errors
    /// [`Error::Changed`] if a new plan would do something else; [`Error::Conflict`]; [`Error::BadTime`]; [`Error::BadRelease`] if the
    /// receipt is no short word; [`Error::Busy`]; [`Error::Io`]. The skill is
    /// then as it was before. (If only the last wait for the disk failed, it is the new version.)
    pub fn apply(
        &self,
        folder: &SkillsFolder,
        release: &VerifiedRelease,
        record: &InstallRecord<'_>,
        options: &Options,
    ) -> Result<Applied, Error> {
        record.check(&self.name)?;
        let lock = folder.lock(options.wait)?;
        let target = Target::read(&folder.folder, &self.name)?;
        let mut now = make(&self.name, release, target.as_ref(), self.force)?;
        now.recovered = self.recovered.clone();
        if now != *self {
            return Err(stage::changed(&self.name));
        }
        let mut applied = Applied {
            kind: self.kind,
            kept: self.kept(),
            backed_up: Vec::new(),
            left_over: None,
            recovered: lock.recovered.clone(),
        };
        match (self.kind, &self.conflict) {
            (PlanKind::Current, _) => {
                if let Some((target, marker)) = target
                    .as_ref()
                    .and_then(|target| Some((target, target.marker.as_ref()?)))
                {
                    change_marker(folder, target, marker, |marker| record.put(marker))?;
                }
                return Ok(applied);
            }
            (PlanKind::Conflict, Some(conflict)) => {
                return Err(Error::Conflict {
                    name: self.name.to_string(),
                    conflict: conflict.clone(),
                });
            }
            (PlanKind::New | PlanKind::Update | PlanKind::Repair | PlanKind::Conflict, _) => {}
        }
        let id = new_id();
        if let Err(error) = self.write(folder, release, record, target.as_ref(), &id) {
            // What is left, the next change takes away.
            let _ = recover_locked(&folder.folder);
            return Err(error);
        }
        if target.is_none() {
            // Nothing was exchanged, and `place` has waited for the disk.
            return Ok(applied);
        }
        match retire(&folder.folder, self.name.as_str(), &id).and_then(|backed_up| {
            folder.folder.sync()?;
            Ok(backed_up)
        }) {
            Ok(backed_up) => applied.backed_up = backed_up,
            Err(error) => applied.left_over = Some(error.to_string()),
        }
        Ok(applied)
    }

    fn kept(&self) -> Vec<String> {
        let is_kept = |action| match action {
            FileAction::KeepEdited | FileAction::KeepExtra => true,
            FileAction::Add | FileAction::Replace | FileAction::Unchanged | FileAction::Remove => false,
        };
        let kept = self.files.iter().filter(|file| is_kept(file.action));
        kept.map(|file| file.path.clone()).collect()
    }

    fn write(
        &self,
        folder: &SkillsFolder,
        release: &VerifiedRelease,
        record: &InstallRecord<'_>,
        target: Option<&Target>,
        id: &str,
    ) -> Result<(), Error> {
        let skills = &folder.folder;
        let before = target.and_then(|target| target.marker.as_ref());
        // Another skill's marker says nothing about this one.
        let before = before
            .filter(|marker| marker.registry == release.registry && marker.skill == release.skill.as_str());
        let mut marker = Marker::of(release, record.installed_at, before, id);
        record.put(&mut marker);
        let is_kept = |path: &str| self.kept_files.iter().any(|kept| kept.as_os_str() == path);
        let files = release
            .files
            .iter()
            .filter(|(path, _)| !is_kept(path))
            .map(|(path, file)| (&**path, file));
        let content = Content {
            files: files.collect(),
            kept_files: &self.kept_files,
            kept_folders: &self.kept_folders,
            marker: Some(&marker),
        };
        stage::build(skills, id, target, &content)?;
        match target {
            None => stage::place(skills, id, &self.name),
            Some(_) => stage::exchange(skills, id, &self.name),
        }
    }
}
