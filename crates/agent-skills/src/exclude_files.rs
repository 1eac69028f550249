//! Leaves secrets and junk out of a skill that is in memory, such as an uploaded archive.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::diagnostics::Diagnostic;
use crate::error::FolderError;
use crate::exclusion::{Exclusion, Names, combined, excluded_file, excluded_folder};
use crate::folder::{SkillFile, SkillFolder};
use crate::ignore_files::{FolderPatterns, IgnoreRules, IncludePatterns};
use crate::listing::MAX_NAMED;
use crate::nested::is_material;
use crate::path::SKILL_MD;
use crate::secret_files::secret_by_content;
use crate::source::ReadOptions;

/// What becomes of a file.
enum Decision {
    Keep,
    /// The path of the file, or of a folder around it with `/` at the end.
    LeaveOut(String, Exclusion),
    /// The folder of another skill.
    Nested(String),
}

/// Removes the files that [`read_folder`](crate::read_folder) leaves out, by the same rules, and adds diagnostics that name
/// them.
///
/// # Errors
/// [`FolderError::BadPattern`] and [`FolderError::BadIgnoreFile`].
pub fn exclude_files(folder: &mut SkillFolder, options: &ReadOptions) -> Result<(), FolderError> {
    let include = IncludePatterns::new(&options.include)?;
    let tree = Tree::new(&folder.files)?;
    let decisions: Vec<Decision> = folder
        .files
        .iter()
        .map(|file| tree.decide(file, &include))
        .collect();
    let mut left_out: BTreeMap<String, (Exclusion, usize)> = BTreeMap::new();
    let mut nested = BTreeSet::new();
    let mut keep = Vec::with_capacity(decisions.len());
    for decision in decisions {
        keep.push(matches!(decision, Decision::Keep));
        match decision {
            Decision::Keep => {}
            Decision::LeaveOut(path, reason) => left_out.entry(path).or_insert((reason, 0)).1 += 1,
            Decision::Nested(path) => {
                nested.insert(path);
            }
        }
    }
    let mut keep = keep.into_iter();
    folder.files.retain(|_| keep.next().unwrap_or(true));
    let unnamed = left_out.len().saturating_sub(MAX_NAMED);
    let named = left_out
        .into_iter()
        .take(MAX_NAMED)
        .map(|(path, (reason, files))| Diagnostic::Excluded {
            files: path.ends_with('/').then_some(files),
            path,
            reason,
        });
    folder.diagnostics.extend(named);
    if unnamed > 0 {
        folder
            .diagnostics
            .push(Diagnostic::MoreLeftOut { paths: unnamed });
    }
    if !nested.is_empty() {
        folder.diagnostics.push(Diagnostic::NestedSkills {
            folders: nested.into_iter().collect(),
        });
    }
    Ok(())
}

/// The folders of a skill by their paths, `""` for the skill's own.
struct Tree {
    names: BTreeMap<String, Names>,
    rules: BTreeMap<String, IgnoreRules>,
}

impl Tree {
    fn new(files: &[SkillFile]) -> Result<Self, FolderError> {
        let mut names: BTreeMap<String, Names> = BTreeMap::new();
        for file in files {
            let mut path = file.path.as_str();
            loop {
                let (folder, name) = path.rsplit_once('/').unwrap_or(("", path));
                names
                    .entry(folder.to_owned())
                    .or_default()
                    .insert(name.to_owned());
                if folder.is_empty() {
                    break;
                }
                path = folder;
            }
        }
        let bytes: BTreeMap<&str, &[u8]> = files
            .iter()
            .map(|file| (file.path.as_str(), file.bytes.as_slice()))
            .collect();
        let mut rules: BTreeMap<String, IgnoreRules> = BTreeMap::new();
        // A folder sorts before those in it.
        for folder in names.keys() {
            let patterns = FolderPatterns::of_files(folder, |path| bytes.get(path).copied())?.map(Arc::new);
            let around = match folder.rsplit_once('/') {
                Some((around, _)) => rules.get(around),
                None if folder.is_empty() => None,
                None => rules.get(""),
            };
            let own = around.cloned().unwrap_or_default().with(patterns);
            rules.insert(folder.clone(), own);
        }
        Ok(Self { names, rules })
    }

    fn decide(&self, file: &SkillFile, include: &IncludePatterns) -> Decision {
        let path = file.path.as_str();
        let is_included = include.matches(&[PathBuf::from(path)], false);
        for (at, _) in path.match_indices('/') {
            let folder = path.get(..at).unwrap_or(path);
            if let Some(reason) = self.folder_exclusion(folder).filter(|_| !is_included) {
                return Decision::LeaveOut(format!("{folder}/"), reason);
            }
            let is_skill = self.names.get(folder).is_some_and(|names| {
                names.iter().any(|name| name.eq_ignore_ascii_case(SKILL_MD))
                    && !self.names.contains_key(&format!("{folder}/{SKILL_MD}"))
            });
            if is_skill && !is_material(Path::new(folder)) {
                return Decision::Nested(folder.to_owned());
            }
        }
        let by_name = combined(excluded_file(path), self.verdict(path, false));
        let exclusion = by_name.or_else(|| secret_by_content(path, &file.bytes).map(Exclusion::Secret));
        match exclusion.filter(|_| !is_included && path != SKILL_MD) {
            Some(reason) => Decision::LeaveOut(path.to_owned(), reason),
            None => Decision::Keep,
        }
    }

    fn folder_exclusion(&self, folder: &str) -> Option<Exclusion> {
        let none = Names::new();
        let (around, name) = folder.rsplit_once('/').unwrap_or(("", folder));
        let children = self.names.get(folder).unwrap_or(&none);
        let siblings = self.names.get(around).unwrap_or(&none);
        combined(
            excluded_folder(name, children, siblings),
            self.verdict(folder, true),
        )
    }

    fn verdict(&self, path: &str, is_folder: bool) -> Option<crate::ignore_files::Verdict> {
        let around = path.rsplit_once('/').map_or("", |(around, _)| around);
        self.rules.get(around)?.verdict(Path::new(path), is_folder)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::source::SkillSource;

    const FILES: [(&str, &str); 22] = [
        ("SKILL.md", "a"),
        (".env", "PASSWORD=x"),
        (".env.example", "PASSWORD="),
        (".gitignore", "/out/\n*.log\n!keep.log\n"),
        ("a.log", ""),
        ("assets/template/SKILL.md", "material"),
        ("certs/ca.pem", "-----BEGIN CERTIFICATE-----"),
        ("certs/own.pem", "-----BEGIN PRIVATE KEY-----"),
        ("dist/cli.js", ""),
        ("env/pyvenv.cfg", ""),
        ("env/x.py", ""),
        ("inner/SKILL.md", "b"),
        ("inner/more/x.md", "b"),
        ("keep.log", ""),
        ("node_modules/a/index.js", ""),
        ("node_modules/b.js", ""),
        ("out/b.js", ""),
        ("out/c/d.js", ""),
        ("package.json", "{}"),
        ("scripts/.skillignore", "*.tmp\n!b.log\n/x/\n"),
        ("scripts/b.log", ""),
        ("scripts/x/y.sh", ""),
    ];

    #[test]
    fn files_in_memory_follow_the_rules_for_folders() {
        for include in [&[][..], &["/out", ".env", "node_modules/b.js", "own.pem"]] {
            let options = ReadOptions {
                include: include.iter().map(|pattern| (*pattern).to_owned()).collect(),
            };
            let root = tempfile::tempdir().unwrap();
            for (file, text) in FILES {
                let path = root.path().join(file);
                fs::create_dir_all(path.parent().unwrap()).unwrap();
                fs::write(path, text).unwrap();
            }
            let source = SkillSource::open(root.path(), &options).unwrap();
            let on_disk = source.read(source.root()).unwrap();
            let mut in_memory = on_disk.clone();
            in_memory.diagnostics.clear();
            in_memory.files = FILES
                .iter()
                .map(|(path, text)| SkillFile {
                    path: crate::SkillPath::parse(path).unwrap(),
                    bytes: text.as_bytes().to_vec(),
                    is_executable: false,
                })
                .collect();
            in_memory.files.sort_by(|a, b| a.path.cmp(&b.path));
            exclude_files(&mut in_memory, &options).unwrap();
            assert_eq!(in_memory.files, on_disk.files);
            let messages = |folder: &SkillFolder| -> BTreeSet<String> {
                folder.diagnostics.iter().map(ToString::to_string).collect()
            };
            // On disk, a folder with included files is counted folder by folder.
            if include.is_empty() {
                assert_eq!(messages(&in_memory), messages(&on_disk));
            }
        }
    }
}
