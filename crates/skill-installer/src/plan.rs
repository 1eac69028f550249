//! What an installation will do, as data.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use agent_skills::{Digest, SkillPath, check_collisions};
use serde::Serialize;

use crate::error::{Conflict, Error};
use crate::folder_name::FolderName;
use crate::marker::{Marker, MarkerFile, PreviousVersion};
use crate::recover::Recovered;
use crate::release::{VerifiedFile, VerifiedRelease};
use crate::skills_folder::SkillsFolder;
use crate::tree::{Content, Target};

/// How a change is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Replaces what a person edited, and what is in the way; it is moved into `.skillkeep-backup`.
    pub force: bool,
    /// How long to wait for another process that works in the skills folder.
    pub wait: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            force: false,
            wait: Duration::from_secs(10),
        }
    }
}

/// What an installation as a whole does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum PlanKind {
    /// The skill is not there.
    New,
    /// Another version is there.
    Update,
    /// This version is there, complete. Nothing is written.
    Current,
    /// This version is there, but files are missing, or (with `force`) edited.
    Repair,
    /// Something is in the way. Nothing is written.
    Conflict,
}

/// What happens to a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FileAction {
    /// The file is not there, or a person deleted it.
    Add,
    /// The file is as another version has it. With `force`, also one that a person edited, which goes into the backup.
    Replace,
    Unchanged,
    /// A person edited the file: it stays.
    KeepEdited,
    /// The file is of no version: it stays.
    KeepExtra,
    /// The new version does not have the file. One that a person edited or added goes into the backup (with `force` only).
    Remove,
}

/// A file in a [`Plan`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PlannedFile {
    /// Relative to the skill's folder. Bytes that are no UTF-8 are replaced.
    pub path: String,
    pub action: FileAction,
    /// Whether the bytes or the executable bit differ from the version that was installed.
    pub edited: bool,
    /// Whether the new version has another content for a file that is kept.
    pub withholds_new: bool,
}

/// What [`Plan::apply`] will do. Nothing has been written yet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Plan {
    pub name: FolderName,
    pub kind: PlanKind,
    /// Why, for people.
    pub reason: String,
    pub conflict: Option<Conflict>,
    pub registry: String,
    pub skill: String,
    pub version: String,
    pub digest: Digest,
    /// The version that is there now.
    pub installed: Option<PreviousVersion>,
    /// Whether the installed version is pinned. It is for the caller to respect that.
    pub pinned: bool,
    /// Sorted by path.
    pub files: Vec<PlannedFile>,
    /// What a crashed run had left, and was mended for the plan.
    pub recovered: Recovered,
    pub(crate) force: bool,
    #[serde(skip)]
    pub(crate) kept_files: Vec<PathBuf>,
    #[serde(skip)]
    pub(crate) kept_folders: Vec<PathBuf>,
}

/// Plans to install a release as the folder `name`, after mending what a crashed run left.
///
/// # Errors
/// [`Error::Unsafe`] if the folder is a link, no folder or another account's; [`Error::Busy`]; [`Error::TooManyEntries`];
/// [`Error::Io`]. A folder with other content is no error, but a [`PlanKind::Conflict`].
pub fn plan_install(
    folder: &SkillsFolder,
    name: &FolderName,
    release: &VerifiedRelease,
    options: &Options,
) -> Result<Plan, Error> {
    let lock = folder.lock(options.wait)?;
    let target = Target::read(&folder.folder, name)?;
    let mut plan = make(name, release, target.as_ref(), options.force)?;
    plan.recovered = lock.recovered;
    Ok(plan)
}

/// Plans for what is there.
pub(crate) fn make(
    name: &FolderName,
    release: &VerifiedRelease,
    target: Option<&Target>,
    force: bool,
) -> Result<Plan, Error> {
    let mut plan = Plan {
        name: name.clone(),
        kind: PlanKind::New,
        reason: "the skill is not installed here".to_owned(),
        conflict: None,
        registry: release.registry.clone(),
        skill: release.skill.to_string(),
        version: release.version.to_string(),
        digest: release.digest,
        installed: None,
        pinned: false,
        files: Vec::new(),
        recovered: Recovered::default(),
        force,
        kept_files: Vec::new(),
        kept_folders: Vec::new(),
    };
    let Some(target) = target else {
        plan.add_all(release);
        return Ok(plan);
    };
    if let Some(conflict) = conflict_of(release, target) {
        plan.meet(conflict, release, target);
        return Ok(plan);
    }
    let Some(marker) = &target.marker else {
        // An empty folder.
        plan.add_all(release);
        return Ok(plan);
    };
    plan.installed = Some(PreviousVersion {
        version: marker.version.clone(),
        digest: marker.digest,
    });
    plan.pinned = marker.pinned;
    plan.decide_files(release, marker, target)?;
    if let Some(path) = plan.blocked(release) {
        plan.meet(Conflict::Blocked { path }, release, target);
        return Ok(plan);
    }
    plan.keep_folders(marker, target);
    plan.set_kind(release, marker);
    Ok(plan)
}

/// Why the folder as a whole is not the skill's.
fn conflict_of(release: &VerifiedRelease, target: &Target) -> Option<Conflict> {
    match &target.marker {
        None if target.tree.is_empty() => return None,
        None => return Some(Conflict::Occupied),
        Some(marker) if marker.registry != release.registry || marker.skill != release.skill.as_str() => {
            return Some(Conflict::OccupiedByOther {
                registry: marker.registry.clone(),
                skill: marker.skill.clone(),
            });
        }
        Some(_) => {}
    }
    let (path, problem) = target.tree.special.first_key_value()?;
    Some(Conflict::UnsafeFile {
        path: path.display().to_string(),
        problem: *problem,
    })
}

impl Plan {
    fn add_all(&mut self, release: &VerifiedRelease) {
        self.files = release
            .files
            .keys()
            .map(|path| PlannedFile {
                path: path.clone(),
                action: FileAction::Add,
                edited: false,
                withholds_new: false,
            })
            .collect();
    }

    /// Something is in the way: with `force` it gives way as a whole.
    fn meet(&mut self, conflict: Conflict, release: &VerifiedRelease, target: &Target) {
        self.files.clear();
        self.kept_files.clear();
        self.kept_folders.clear();
        if self.force {
            self.kind = PlanKind::Update;
            self.reason = format!("what is there goes into .skillkeep-backup, because {conflict}");
            self.add_all(release);
            let displaced = target.tree.files.keys().chain(target.tree.special.keys());
            let new: BTreeSet<PathBuf> = release.files.keys().map(PathBuf::from).collect();
            for path in displaced {
                let shown = path.display().to_string();
                if !new.contains(path) {
                    self.push(shown, FileAction::Remove, true, false);
                } else if let Some(file) = self.files.iter_mut().find(|file| file.path == shown) {
                    file.action = FileAction::Replace;
                    file.edited = true;
                }
            }
            self.files.sort_by(|a, b| a.path.cmp(&b.path));
        } else {
            self.kind = PlanKind::Conflict;
            self.reason = conflict.to_string();
        }
        self.conflict = Some(conflict);
    }

    fn push(&mut self, path: String, action: FileAction, edited: bool, withholds_new: bool) {
        self.files.push(PlannedFile {
            path,
            action,
            edited,
            withholds_new,
        });
    }

    fn decide_files(
        &mut self,
        release: &VerifiedRelease,
        marker: &Marker,
        target: &Target,
    ) -> Result<(), Error> {
        let old = marker.by_path();
        let mut paths: BTreeSet<PathBuf> = target.tree.files.keys().cloned().collect();
        paths.extend(release.files.keys().map(PathBuf::from));
        for path in paths {
            let key = path.to_str().unwrap_or_default();
            let (old, new) = (old.get(key).copied(), release.files.get(key));
            let sizes: Vec<u64> = old
                .map(|file| file.size)
                .into_iter()
                .chain(new.map(size_of))
                .collect();
            let current = target.content(&path, &sizes)?;
            self.decide(path, old, new, current);
        }
        Ok(())
    }

    fn decide(
        &mut self,
        path: PathBuf,
        old: Option<&MarkerFile>,
        new: Option<&VerifiedFile>,
        current: Option<Content>,
    ) {
        let shown = path.display().to_string();
        let Some(current) = current else {
            if new.is_some() {
                self.push(shown, FileAction::Add, false, false);
            }
            return;
        };
        let is_old = old.is_some_and(|old| current == content(old.digest, old.executable));
        let is_new = new.is_some_and(|new| current == content(new.digest, new.executable));
        let edited = !is_old && (old.is_some() || new.is_some());
        let (action, edited, withholds) = match (is_new, is_old, new.is_some()) {
            (true, _, _) => (FileAction::Unchanged, false, false),
            (false, true, true) => (FileAction::Replace, false, false),
            (false, true, false) => (FileAction::Remove, false, false),
            (false, false, true) if self.force => (FileAction::Replace, true, false),
            (false, false, true) => {
                let is_same_content = old.zip(new).is_some_and(|(old, new)| {
                    content(old.digest, old.executable) == content(new.digest, new.executable)
                });
                (FileAction::KeepEdited, true, !is_same_content)
            }
            (false, false, false) if old.is_none() => (FileAction::KeepExtra, edited, false),
            (false, false, false) if self.force => (FileAction::Remove, true, false),
            (false, false, false) => (FileAction::KeepEdited, true, false),
        };
        if matches!(action, FileAction::KeepEdited | FileAction::KeepExtra) {
            self.kept_files.push(path);
        }
        self.push(shown, action, edited, withholds);
    }

    /// A kept file that cannot be beside the files of the release.
    fn blocked(&self, release: &VerifiedRelease) -> Option<String> {
        let kept =
            |file: &&PlannedFile| matches!(file.action, FileAction::KeepEdited | FileAction::KeepExtra);
        let new: Vec<SkillPath> = release
            .files
            .keys()
            .filter_map(|path| SkillPath::parse(path).ok())
            .collect();
        let files: BTreeMap<&Path, ()> = release.files.keys().map(|path| (Path::new(path), ())).collect();
        let folders: BTreeSet<&Path> = files.keys().flat_map(|path| path.ancestors().skip(1)).collect();
        let blocked = self.files.iter().filter(kept).find(|file| {
            if release.files.contains_key(&file.path) {
                return false;
            }
            let path = Path::new(&file.path);
            let is_in_the_way =
                folders.contains(path) || path.ancestors().skip(1).any(|folder| files.contains_key(folder));
            let collides = SkillPath::parse(&file.path)
                .is_ok_and(|path| check_collisions(new.iter().chain([&path])).is_err());
            is_in_the_way || collides
        });
        blocked.map(|file| file.path.clone())
    }

    /// Empty folders that no version has stay; a script of the skill may need them.
    fn keep_folders(&mut self, marker: &Marker, target: &Target) {
        let known = marker.folders();
        let is_kept = |folder: &&PathBuf| folder.to_str().is_none_or(|folder| !known.contains(folder));
        self.kept_folders = target.tree.folders.iter().filter(is_kept).cloned().collect();
    }

    fn set_kind(&mut self, release: &VerifiedRelease, marker: &Marker) {
        let writes = self.files.iter().any(|file| match file.action {
            FileAction::Add | FileAction::Replace | FileAction::Remove => true,
            FileAction::Unchanged | FileAction::KeepEdited | FileAction::KeepExtra => false,
        });
        let is_same = marker.digest == release.digest
            && marker.version == release.version.as_str()
            && (marker.signature == release.signature || release.signature.is_none());
        let edited = self.files.iter().filter(|file| file.edited).count();
        (self.kind, self.reason) = match (is_same, writes) {
            (true, false) if edited == 0 => (PlanKind::Current, "this version is installed".to_owned()),
            (true, false) => (
                PlanKind::Current,
                format!("this version is installed; {edited} edited files stay as they are"),
            ),
            (true, true) => (
                PlanKind::Repair,
                "this version is installed, but files are missing or edited".to_owned(),
            ),
            (false, _) => (
                PlanKind::Update,
                format!("version {} is installed", marker.version),
            ),
        };
    }
}

fn content(digest: Digest, executable: bool) -> Content {
    Content {
        digest: Some(digest),
        executable,
    }
}

fn size_of(file: &VerifiedFile) -> u64 {
    u64::try_from(file.bytes.len()).unwrap_or(u64::MAX)
}
