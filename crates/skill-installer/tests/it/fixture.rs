//! Releases, folders and their contents.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use agent_skills::{Digest, ManifestEntry, SkillPath, manifest_digest};
use skill_installer::{
    Applied, Error, FolderName, InstallRecord, Options, Plan, Release, ReleaseFile, SkillsFolder,
    VerifiedRelease, plan_install,
};

pub(crate) const NOW: &str = "2026-11-26T12:00:00Z";
pub(crate) const SKILLS: &str = ".agents/skills";

pub(crate) fn file(path: &str, bytes: &[u8], executable: bool) -> ReleaseFile {
    ReleaseFile {
        path: path.to_owned(),
        digest: Digest::of(bytes),
        size: bytes.len() as u64,
        executable,
        bytes: bytes.to_vec(),
    }
}

/// A consistent release of the skill `pdf`, also with paths that are refused.
pub(crate) fn raw_release(version: &str, files: Vec<ReleaseFile>) -> Release {
    let paths: Vec<Option<SkillPath>> = files
        .iter()
        .map(|file| SkillPath::parse(&file.path).ok())
        .collect();
    let entries = paths.iter().zip(&files).filter_map(|(path, file)| {
        Some(ManifestEntry {
            path: path.as_ref()?,
            digest: file.digest,
            size_bytes: file.size,
            is_executable: file.executable,
        })
    });
    Release {
        registry: "https://skills.example.com".to_owned(),
        skill: "pdf".to_owned(),
        version: version.to_owned(),
        digest: manifest_digest(entries),
        files,
        signature: None,
    }
}

pub(crate) fn release(version: &str, files: &[(&str, &str)]) -> VerifiedRelease {
    let files = files
        .iter()
        .map(|(path, text)| file(path, text.as_bytes(), path.ends_with(".sh")));
    raw_release(version, files.collect()).verify().unwrap()
}

pub(crate) fn v1() -> VerifiedRelease {
    release(
        "1.0.0",
        &[
            ("SKILL.md", "---\nname: pdf\n---\nOne\n"),
            ("scripts/run.sh", "echo one\n"),
            ("docs/old/notes.md", "notes\n"),
            ("docs/a.md", "a1\n"),
        ],
    )
}

pub(crate) fn v2() -> VerifiedRelease {
    release(
        "2.0.0",
        &[
            ("SKILL.md", "---\nname: pdf\n---\nTwo, longer\n"),
            ("scripts/run.sh", "echo two\n"),
            ("docs/a.md", "a1\n"),
            ("docs/new.md", "new\n"),
        ],
    )
}

pub(crate) fn name(text: &str) -> FolderName {
    text.parse().unwrap()
}

pub(crate) fn force() -> Options {
    Options {
        force: true,
        ..Options::default()
    }
}

/// A temporary folder in memory, where there is one: many tests wait for the disk thousands of times.
pub(crate) fn temporary_folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() {
        tempfile::tempdir_in(memory).unwrap()
    } else {
        tempfile::tempdir().unwrap()
    }
}

/// A project with an empty skills folder.
pub(crate) struct Project {
    pub(crate) root: tempfile::TempDir,
    pub(crate) folder: SkillsFolder,
}

impl Project {
    pub(crate) fn new() -> Self {
        let root = temporary_folder();
        let folder = SkillsFolder::open(root.path(), Path::new(SKILLS)).unwrap();
        Self { root, folder }
    }

    pub(crate) fn with(release: &VerifiedRelease) -> Self {
        let project = Self::new();
        project.install(release, &Options::default()).unwrap();
        project
    }

    /// A path below the skills folder.
    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root.path().join(SKILLS).join(path)
    }

    pub(crate) fn plan(&self, release: &VerifiedRelease, options: &Options) -> Result<Plan, Error> {
        plan_install(&self.folder, &name("pdf"), release, options)
    }

    pub(crate) fn install(&self, release: &VerifiedRelease, options: &Options) -> Result<Applied, Error> {
        self.plan(release, options)?
            .apply(&self.folder, release, &InstallRecord::at(NOW), options)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.path(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    pub(crate) fn read(&self, path: &str) -> String {
        fs::read_to_string(self.path(path)).unwrap()
    }

    /// Everything in the skills folder but the lock.
    pub(crate) fn content(&self) -> BTreeMap<String, String> {
        let mut content = content(&self.path(""));
        content.remove(".skillkeep-lock");
        content
    }
}

/// Every entry below a folder by its path: its mode and bytes, the text of a link, or its kind.
pub(crate) fn content(folder: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    add(folder, folder, &mut found);
    found
}

fn add(root: &Path, folder: &Path, found: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let shown = path.strip_prefix(root).unwrap().display().to_string();
        let info = fs::symlink_metadata(&path).unwrap();
        let mode = info.permissions().mode() & 0o7777;
        let value = if info.is_symlink() {
            format!("link {}", fs::read_link(&path).unwrap().display())
        } else if info.is_dir() {
            add(root, &path, found);
            format!("folder {mode:o}")
        } else if info.is_file() && path.ends_with(".skillkeep.json") {
            marker_version(&path)
        } else if info.is_file() {
            format!("{mode:o} {}", String::from_utf8_lossy(&fs::read(&path).unwrap()))
        } else {
            format!("special {:o}", info.mode())
        };
        found.insert(shown, value);
    }
}

/// The version that a marker names; it also has the time and id of its run.
fn marker_version(path: &Path) -> String {
    let bytes = fs::read(path).unwrap();
    match skill_installer::Marker::parse(&bytes) {
        Ok(marker) => format!("marker {} {}", marker.version, marker.digest),
        Err(_) => String::from_utf8_lossy(&bytes).into_owned(),
    }
}
