//! A source of skills: a folder, often a repository, in which skills are found and read.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use folder_handle::{EntryKind, FolderHandle};

use crate::error::FolderError;
use crate::ignore_files::{FolderPatterns, IgnoreRules, IncludePatterns};

/// How a source is read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ReadOptions {
    /// Patterns in the syntax of `.gitignore` for paths, relative to the skill or to the source, that are kept although
    /// they look like secrets, dependencies, caches or build output, or an ignore file names them.
    pub include: Vec<String>,
}

/// A folder with skills, and what applies to all of them: its ignore files, and the limit of links.
///
/// Links are followed to files and folders inside the source, never out of it. All files are opened from the handle of the source's
/// folder and without following links on the way: a folder that is replaced with a link while the source is read leads nowhere.
#[derive(Debug)]
pub struct SkillSource {
    pub(crate) root: FolderHandle,
    pub(crate) include: IncludePatterns,
    follows_links: bool,
    /// The ignore files of folders around skills, which are asked for again and again.
    patterns: Mutex<HashMap<PathBuf, Option<Arc<FolderPatterns>>>>,
}

impl SkillSource {
    /// `root` may be a link.
    ///
    /// # Errors
    /// [`FolderError::Unreadable`] if there is no such folder, [`FolderError::BadPattern`] for an include pattern.
    pub fn open(root: &Path, options: &ReadOptions) -> Result<Self, FolderError> {
        Ok(Self {
            follows_links: true,
            ..Self::of_one_skill(root, options)?
        })
    }

    /// A source that is one skill. Links are rejected.
    pub(crate) fn of_one_skill(root: &Path, options: &ReadOptions) -> Result<Self, FolderError> {
        Ok(Self {
            root: FolderHandle::open(root).map_err(|source| FolderError::Unreadable {
                path: root.to_path_buf(),
                source,
            })?,
            include: IncludePatterns::new(&options.include)?,
            follows_links: false,
            patterns: Mutex::default(),
        })
    }

    /// The source's folder, without links in its path.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The ignore files of the folders around `folder`, from the source's root down.
    pub(crate) fn rules_around(&self, folder: &Path) -> Result<IgnoreRules, FolderError> {
        let mut rules = IgnoreRules::default();
        let mut around: Vec<&Path> = folder
            .ancestors()
            .skip(1)
            .take_while(|path| path.starts_with(self.root()))
            .collect();
        around.reverse();
        for path in around {
            rules = rules.with(self.patterns_in(path)?);
        }
        Ok(rules)
    }

    /// The ignore files of one folder, which are read once.
    fn patterns_in(&self, folder: &Path) -> Result<Option<Arc<FolderPatterns>>, FolderError> {
        let mut known = self.patterns.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(patterns) = known.get(folder) {
            return Ok(patterns.clone());
        }
        let patterns = FolderPatterns::read(&self.root, folder)?.map(Arc::new);
        known.insert(folder.to_path_buf(), patterns.clone());
        Ok(patterns)
    }

    /// Path and kind of what an entry is, or leads to if it is a link into the source. A link is returned as it is if links
    /// are not followed.
    ///
    /// The path that a link leads to is only a name: it is opened like any other, without following links.
    pub(crate) fn followed(
        &self,
        path: PathBuf,
        kind: EntryKind,
    ) -> Result<(PathBuf, EntryKind), FolderError> {
        if !kind.is_link() || !self.follows_links {
            return Ok((path, kind));
        }
        let target = match path.canonicalize() {
            Ok(target) => target,
            // It leads to nothing, or in a circle.
            Err(_) => return Ok((path, kind)),
        };
        // Git's own files hold addresses with tokens.
        let is_git = target.components().any(|segment| segment.as_os_str() == ".git");
        if !target.starts_with(self.root()) || is_git {
            return Err(FolderError::LinkOutside { path });
        }
        // A link to a folder around it would lead in a circle.
        if path.starts_with(&target) {
            return Ok((path, kind));
        }
        let found = self
            .root
            .info(&target)
            .map_err(|source| FolderError::Unreadable {
                path: target.clone(),
                source,
            })?;
        Ok((target, found.kind))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::find::Found;
    use crate::path::SKILL_MD;

    fn tree(files: &[(&str, &str)]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    fn open(root: &Path, include: &[&str]) -> SkillSource {
        let include = include.iter().map(|pattern| (*pattern).to_owned()).collect();
        SkillSource::open(root, &ReadOptions { include }).unwrap()
    }

    /// What the search finds: skills, `!` refused, `-` left out.
    fn found(root: &Path) -> Vec<String> {
        open(root, &[])
            .find()
            .map(|found| match found {
                Found::Skill(skill) => skill.source,
                Found::Refused { source, .. } => format!("!{source}"),
                Found::LeftOut { source, skills, .. } => format!("-{source} {skills}"),
            })
            .collect()
    }

    /// The paths of the skill in the source's root, and the messages.
    fn read(root: &Path, include: &[&str]) -> (Vec<String>, Vec<String>) {
        let source = open(root, include);
        let folder = source.read(source.root()).unwrap();
        let paths = folder.files.iter().map(|file| file.path.to_string()).collect();
        (
            paths,
            folder.diagnostics.iter().map(ToString::to_string).collect(),
        )
    }

    #[test]
    fn linked_folder_inside_the_source_is_found_once() {
        let root = tree(&[
            ("shelf/tide-tables/SKILL.md", "a"),
            ("node_modules/p/SKILL.md", "b"),
        ]);
        symlink("shelf/tide-tables", root.path().join("tide-tables")).unwrap();
        symlink("shelf", root.path().join("again")).unwrap();
        symlink(".", root.path().join("circle")).unwrap();
        symlink("node_modules/p", root.path().join("package")).unwrap();
        assert_eq!(
            found(root.path()),
            ["-node_modules 1", "shelf/tide-tables", "package"]
        );
    }

    #[test]
    fn linked_folder_outside_of_the_source_is_refused() {
        let outside = tree(&[("SKILL.md", "a")]);
        let root = tree(&[("a/SKILL.md", "a")]);
        symlink(outside.path(), root.path().join("tide-tables")).unwrap();
        symlink("/etc/passwd", root.path().join("file")).unwrap();
        assert_eq!(found(root.path()), ["!tide-tables", "a"]);
        symlink(outside.path(), root.path().join("a/references")).unwrap();
        let source = open(root.path(), &[]);
        let read = source.read(&source.root().join("a"));
        assert!(
            matches!(&read, Err(FolderError::LinkOutside { path }) if path.ends_with("a/references")),
            "{read:?}"
        );
    }

    #[test]
    fn links_inside_the_source_are_read_as_files() {
        let root = tree(&[
            ("a/SKILL.md", "a"),
            ("common/guide.md", "guide"),
            ("common/more/b.md", "b"),
            ("common/.env", "secret"),
            (".git/config", "token"),
        ]);
        symlink("../common", root.path().join("a/references")).unwrap();
        symlink("../common/guide.md", root.path().join("a/guide.md")).unwrap();
        symlink("../common/.env", root.path().join("a/harmless.txt")).unwrap();
        let source = open(root.path(), &[]);
        let folder = source.read(&source.root().join("a")).unwrap();
        let paths: Vec<&str> = folder.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(
            paths,
            [
                "SKILL.md",
                "guide.md",
                "references/guide.md",
                "references/more/b.md"
            ]
        );
        assert_eq!(folder.diagnostics.len(), 2, "{:?}", folder.diagnostics);
        for (name, target) in [
            ("git", "../.git/config"),
            ("circle", ".."),
            ("nothing", "nowhere"),
        ] {
            let link = root.path().join("a").join(name);
            symlink(target, &link).unwrap();
            assert!(source.read(&source.root().join("a")).is_err(), "{name}");
            fs::remove_file(link).unwrap();
        }
    }

    #[test]
    fn links_that_lead_in_a_circle_end_with_an_error() {
        let root = tree(&[("a/SKILL.md", "a"), ("b/x.md", "b")]);
        symlink("../b", root.path().join("a/b")).unwrap();
        symlink("../b", root.path().join("b/b")).unwrap();
        let source = open(root.path(), &[]);
        assert!(source.read(&source.root().join("a")).is_err());
        fs::remove_file(root.path().join("b/b")).unwrap();
        fs::create_dir(root.path().join("c")).unwrap();
        symlink("../c", root.path().join("b/c")).unwrap();
        symlink("../b", root.path().join("c/b")).unwrap();
        assert!(source.read(&source.root().join("a")).is_err());
    }

    #[test]
    fn skills_inside_a_skill_are_separate_and_named() {
        let root = tree(&[
            ("SKILL.md", "outer"),
            ("prune-trees/SKILL.md", "a"),
            ("prune-trees/saw.md", "a"),
            ("graft-scions/skill.md", "b"),
            ("assets/template/SKILL.md", "material"),
            ("notes.md", "outer"),
        ]);
        assert_eq!(found(root.path()), [".", "graft-scions", "prune-trees"]);
        let (paths, messages) = read(root.path(), &[]);
        assert_eq!(paths, ["SKILL.md", "assets/template/SKILL.md", "notes.md"]);
        assert_eq!(
            messages,
            [
                "separate skills inside (2), whose files are no part of this one: \"graft-scions\", \"prune-trees\""
            ]
        );
    }

    #[test]
    fn secrets_and_junk_are_left_out_and_named() {
        let root = tree(&[
            ("SKILL.md", "a"),
            (".env", "PASSWORD=x"),
            (".env.example", "PASSWORD="),
            ("id_rsa", "key"),
            ("cert.pem", "-----BEGIN CERTIFICATE-----"),
            ("node_modules/a/index.js", ""),
            ("node_modules/b/index.js", ""),
            (".venv/pyvenv.cfg", ""),
            ("dist/a.js", ""),
            ("scripts/dist/b.js", ""),
            (".gitignore", "/dist/\n*.log\n!keep.log\n"),
            ("a.log", ""),
            ("keep.log", ""),
            ("scripts/.skillignore", "*.tmp\n!a.log\n"),
            ("scripts/a.log", ""),
            ("scripts/a.tmp", ""),
        ]);
        let (paths, messages) = read(root.path(), &[]);
        assert_eq!(
            paths,
            [
                ".env.example",
                ".gitignore",
                "SKILL.md",
                "cert.pem",
                "keep.log",
                "scripts/.skillignore",
                "scripts/a.log",
                "scripts/dist/b.js"
            ]
        );
        assert_eq!(
            messages,
            [
                "\".env\" was left out: it may hold secrets (environment file)",
                "\".venv/\" (1 file) was left out: it is a virtual environment",
                "\"a.log\" was left out: a .gitignore file names it",
                "\"dist/\" (1 file) was left out: a .gitignore file names it",
                "\"id_rsa\" was left out: it may hold secrets (private key)",
                "\"node_modules/\" (2 files) was left out: it holds installed dependencies",
                "\"scripts/a.tmp\" was left out: a .skillignore file names it",
            ]
        );
        let (paths, messages) = read(root.path(), &["id_rsa", "/dist", "node_modules/b/**"]);
        assert_eq!(paths.len(), 11, "{paths:?}");
        assert!(
            paths.contains(&"node_modules/b/index.js".to_owned()) && paths.contains(&"dist/a.js".to_owned())
        );
        assert!(
            messages.contains(
                &"\"node_modules/a/\" (1 file) was left out: it holds installed dependencies".to_owned()
            ),
            "{messages:?}"
        );
    }

    #[test]
    fn ignore_files_of_the_source_apply_to_its_skills() {
        let root = tree(&[
            (".gitignore", "private/\n/skills/b/\nsecret.md\n"),
            ("skills/a/SKILL.md", "a"),
            ("skills/a/private/x.md", "x"),
            ("skills/a/.gitignore", "!secret.md"),
            ("skills/a/secret.md", "x"),
            ("skills/b/SKILL.md", "b"),
        ]);
        assert_eq!(found(root.path()), ["-skills/b 1", "skills/a"]);
        let source = open(root.path(), &[]);
        let folder = source.read(&source.root().join("skills/a")).unwrap();
        let paths: Vec<&str> = folder.files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!(paths, [".gitignore", "SKILL.md", "secret.md"]);
    }

    #[test]
    fn ignore_file_cannot_keep_a_secret_or_remove_the_skill() {
        let root = tree(&[
            (SKILL_MD, "a"),
            (".gitignore", "*\n!.env\n!id_rsa\n"),
            (".env", "x"),
            ("id_rsa", "x"),
        ]);
        let (paths, _) = read(root.path(), &[]);
        assert_eq!(paths, [SKILL_MD]);
    }

    #[test]
    fn unusable_ignore_file_and_pattern_are_errors() {
        let many = "a*b*c\n".repeat(3000);
        let root = tree(&[(SKILL_MD, "a"), (".gitignore", &many)]);
        let source = open(root.path(), &[]);
        assert!(matches!(
            source.read(source.root()),
            Err(FolderError::BadIgnoreFile { .. })
        ));
        for pattern in ["!a", " "] {
            let options = ReadOptions {
                include: vec![pattern.to_owned()],
            };
            let opened = SkillSource::open(root.path(), &options);
            assert!(matches!(opened, Err(FolderError::BadPattern { .. })), "{pattern}");
        }
    }

    #[test]
    fn left_out_files_do_not_count_as_files_of_the_skill() {
        let root = tree(&[(SKILL_MD, "a"), (".gitignore", "*.log")]);
        for n in 0..1500 {
            fs::write(root.path().join(format!("{n}.log")), "").unwrap();
        }
        let (paths, messages) = read(root.path(), &[]);
        assert_eq!(paths.len(), 2);
        assert_eq!(messages.len(), 201);
        assert_eq!(
            messages.last().unwrap(),
            "1300 more files and folders were left out"
        );
    }
}
