//! Finds the skills of a source.

use std::collections::{HashSet, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostics::Diagnostic;
use crate::error::FolderError;
use crate::exclusion::{Exclusion, Names, combined, excluded_folder};
use crate::ignore_files::{FolderPatterns, IgnoreRules};
use crate::json_file::JsonFiles;
use crate::listing::visit_below;
use crate::nested::{contains_skill_md, is_material};
use crate::origin::{Origin, origin_of};
use crate::path::SKILL_MD;
use crate::plugin::{PluginInfo, plugin_of};
use crate::source::{ReadOptions, SkillSource};

/// Maximum number of entries that are looked at in folders that are left out, to count the skills in them.
const MAX_COUNTED: usize = 200_000;

/// What the search came across.
#[derive(Debug)]
pub enum Found {
    Skill(Box<FoundSkill>),
    /// A folder, or a link to one, that was not searched.
    Refused {
        /// Path relative to the source, `.` for the source itself.
        source: String,
        error: FolderError,
    },
    /// A folder that was left out although there are skills in it.
    LeftOut {
        /// Path relative to the source.
        source: String,
        reason: Exclusion,
        /// Number of `SKILL.md` files in it.
        skills: usize,
    },
}

/// The folder of a skill.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FoundSkill {
    /// Without links, unless the search began at [`find_skill_folders`].
    pub path: PathBuf,
    /// Path relative to the source with `/` as separator, `.` for the source itself. Contains a link's name if only a link
    /// leads to the skill.
    pub source: String,
    /// The plugin that it belongs to.
    pub plugin: Option<PluginInfo>,
    /// What an installer noted about the copy.
    pub origin: Option<Origin>,
    /// Files about the skill that could not be read.
    pub diagnostics: Vec<Diagnostic>,
}

/// Finds every folder at or below `root` that contains a `SKILL.md` in any case, in the order of their names.
///
/// As [`SkillSource::find`], without what is not a skill.
pub fn find_skill_folders(root: &Path) -> impl Iterator<Item = Result<PathBuf, FolderError>> + use<> {
    let given = root.to_path_buf();
    let (source, error) = match SkillSource::open(root, &ReadOptions::default()) {
        Ok(source) => (Some(source), None),
        Err(error) => (None, Some(error)),
    };
    let found: Vec<Result<PathBuf, FolderError>> = source
        .iter()
        .flat_map(SkillSource::find)
        .filter_map(|found| match found {
            Found::Skill(skill) if skill.source == "." => Some(Ok(given.clone())),
            Found::Skill(skill) => Some(Ok(given.join(skill.source))),
            Found::Refused { error, .. } => Some(Err(error)),
            Found::LeftOut { .. } => None,
        })
        .collect();
    error.map(Err).into_iter().chain(found)
}

impl SkillSource {
    /// Finds every folder of the source that contains a `SKILL.md` in any case, depth first, in the order of their names.
    ///
    /// A skill inside the folder of another skill is a skill of its own, unless it is material: below a folder such as
    /// `assets`, `examples`, `templates` or `tests` of the outer skill. Links to folders inside the source are followed,
    /// and each folder is searched once. Folders that are left out of skills ([`Exclusion`]) are not searched, and reported
    /// if they contain skills. `.git` is never searched. Unreadable folders are reported, and the search continues.
    pub fn find(&self) -> impl Iterator<Item = Found> {
        let mut search = Search {
            source: self,
            open: vec![Folder {
                on_disk: self.root().to_path_buf(),
                source: String::new(),
                rules: IgnoreRules::default(),
                in_skill: None,
            }],
            links: VecDeque::new(),
            searched: HashSet::new(),
            found: VecDeque::new(),
            files: JsonFiles::below(&self.root),
            left_to_count: MAX_COUNTED,
        };
        std::iter::from_fn(move || search.next())
    }
}

/// A folder to search.
struct Folder {
    on_disk: PathBuf,
    source: String,
    rules: IgnoreRules,
    /// Path relative to the skill around it.
    in_skill: Option<PathBuf>,
}

struct Search<'a> {
    source: &'a SkillSource,
    /// The next one last.
    open: Vec<Folder>,
    /// Links to folders, which are followed when all other folders have been searched.
    links: VecDeque<(PathBuf, String)>,
    searched: HashSet<PathBuf>,
    found: VecDeque<Found>,
    files: JsonFiles<'a>,
    /// Entries of folders that are left out that may still be looked at.
    left_to_count: usize,
}

impl Search<'_> {
    fn next(&mut self) -> Option<Found> {
        loop {
            if let Some(found) = self.found.pop_front() {
                return Some(found);
            }
            if let Some(folder) = self.open.pop() {
                let source = folder.source.clone();
                if let Err(error) = self.search(folder) {
                    self.refuse(source, error);
                }
            } else {
                let (target, source) = self.links.pop_front()?;
                self.follow(target, source);
            }
        }
    }

    fn refuse(&mut self, source: String, error: FolderError) {
        let source = if source.is_empty() { ".".to_owned() } else { source };
        self.found.push_back(Found::Refused { source, error });
    }

    fn follow(&mut self, target: PathBuf, source: String) {
        if self.searched.contains(&target) {
            return;
        }
        match self.source.rules_around(&target) {
            Ok(rules) => self.open.push(Folder {
                on_disk: target,
                source,
                rules,
                in_skill: None,
            }),
            Err(error) => self.refuse(source, error),
        }
    }

    fn search(&mut self, mut folder: Folder) -> Result<(), FolderError> {
        if !self.searched.insert(folder.on_disk.clone()) {
            return Ok(());
        }
        let unreadable = |source| FolderError::Unreadable {
            path: folder.on_disk.clone(),
            source,
        };
        let root = &self.source.root;
        let mut entries = root.entries(&folder.on_disk, usize::MAX).map_err(unreadable)?;
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        if contains_skill_md(root, &folder.on_disk) && !folder.in_skill.as_deref().is_some_and(is_material) {
            folder.in_skill = Some(PathBuf::new());
            let skill = self.found_skill(&folder);
            self.found.push_back(Found::Skill(Box::new(skill)));
        }
        let names: Names = entries
            .iter()
            .map(|(name, _)| name.to_string_lossy().into_owned())
            .collect();
        let rules = folder
            .rules
            .with(FolderPatterns::read(&self.source.root, &folder.on_disk)?.map(Arc::new));
        let mut below = Vec::new();
        for (name, kind) in entries {
            if name == ".git" || !(kind.is_folder() || kind.is_link()) {
                continue;
            }
            let on_disk = folder.on_disk.join(&name);
            let name = name.to_string_lossy();
            let source = if folder.source.is_empty() {
                name.to_string()
            } else {
                format!("{}/{name}", folder.source)
            };
            if kind.is_link() {
                self.note_link(on_disk, source, folder.in_skill.is_some());
                continue;
            }
            let in_skill = folder.in_skill.as_ref().map(|path| path.join(&*name));
            match self.exclusion(&on_disk, &name, &names, &rules) {
                None => below.push(Folder {
                    on_disk,
                    source,
                    rules: rules.clone(),
                    in_skill,
                }),
                Some(reason) => self.leave_out(&on_disk, source, reason),
            }
        }
        self.open.extend(below.into_iter().rev());
        Ok(())
    }

    fn found_skill(&mut self, folder: &Folder) -> FoundSkill {
        let plugin = plugin_of(self.source.root(), &folder.on_disk, &mut self.files);
        let origin = origin_of(self.source.root(), &folder.on_disk, &mut self.files);
        let relative = |path: PathBuf| {
            path.strip_prefix(self.source.root())
                .unwrap_or(&path)
                .display()
                .to_string()
        };
        FoundSkill {
            path: folder.on_disk.clone(),
            source: if folder.source.is_empty() {
                ".".to_owned()
            } else {
                folder.source.clone()
            },
            plugin,
            origin,
            diagnostics: std::mem::take(&mut self.files.problems)
                .into_iter()
                .map(|(path, reason)| Diagnostic::UnusableManifest {
                    path: relative(path),
                    reason,
                })
                .collect(),
        }
    }

    /// Keeps a link to a folder for later. Inside a skill, what a link leads to is the skill's own content, which
    /// [`SkillSource::read`] follows or refuses.
    fn note_link(&mut self, link: PathBuf, source: String, is_in_skill: bool) {
        match link.canonicalize() {
            Ok(target) if !target.is_dir() => {}
            Ok(target) if target.starts_with(self.source.root()) => {
                if !is_in_skill && !target.components().any(|segment| segment.as_os_str() == ".git") {
                    self.links.push_back((target, source));
                }
            }
            Ok(_) if !is_in_skill => self.refuse(source, FolderError::LinkOutside { path: link }),
            Ok(_) | Err(_) => {}
        }
    }

    fn exclusion(
        &self,
        folder: &Path,
        name: &str,
        siblings: &Names,
        rules: &IgnoreRules,
    ) -> Option<Exclusion> {
        let children = crate::listing::names_in(&self.source.root, folder);
        let exclusion = combined(
            excluded_folder(name, &children, siblings),
            rules.verdict(folder, true),
        );
        let relative = folder
            .strip_prefix(self.source.root())
            .unwrap_or(folder)
            .to_path_buf();
        exclusion.filter(|_| !self.source.include.matches(&[relative], true))
    }

    fn leave_out(&mut self, folder: &Path, source: String, reason: Exclusion) {
        let mut skills = 0;
        let looked_at = visit_below(&self.source.root, folder, self.left_to_count, |name, kind| {
            skills += usize::from(kind.is_file() && name.eq_ignore_ascii_case(SKILL_MD));
        });
        self.left_to_count -= looked_at;
        if skills > 0 {
            self.found.push_back(Found::LeftOut {
                source,
                reason,
                skills,
            });
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn tree(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "text").unwrap();
        }
        root
    }

    fn found(root: &Path) -> Vec<String> {
        find_skill_folders(root)
            .map(|found| found.unwrap().strip_prefix(root).unwrap().display().to_string())
            .collect()
    }

    #[test]
    fn skills_are_found_in_order_with_nested_ones() {
        let root = tree(&[
            "b/x/SKILL.md",
            "b/x/inner/SKILL.md",
            "b/x/inner/assets/template/SKILL.md",
            "b/x/examples/inner/SKILL.md",
            "a/skill.md",
            "a-folder/SKILL.md/not-a-file",
            ".git/SKILL.md",
            "node_modules/c/SKILL.md",
            "d/README.md",
        ]);
        assert_eq!(found(root.path()), ["a", "b/x", "b/x/inner"]);
    }

    #[test]
    fn root_may_be_a_skill_or_a_link_to_one() {
        let root = tree(&["s/SKILL.md", "s/inner/SKILL.md"]);
        assert_eq!(found(&root.path().join("s")), ["", "inner"]);
        let link = root.path().join("link");
        std::os::unix::fs::symlink(root.path().join("s"), &link).unwrap();
        assert_eq!(found(&link), ["", "inner"]);
        assert_eq!(found(root.path()), ["s", "s/inner"]);
    }

    #[test]
    fn missing_root_is_an_error_that_names_it() {
        let found: Vec<_> = find_skill_folders(Path::new("/nowhere/at/all")).collect();
        assert!(matches!(&found[..], [Err(error)] if error.to_string().contains("/nowhere/at/all")));
    }
}
