//! Which files and folders are no part of a skill: secrets, installed dependencies, caches and build output.

use std::collections::BTreeSet;

use crate::ignore_files::Verdict;
use crate::secret_files::secret_by_name;

/// Why a file or folder was left out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, thiserror::Error)]
pub enum Exclusion {
    #[error("a {0} file names it")]
    IgnoreFile(&'static str),
    /// Holds passwords, keys or tokens, by its name or its content.
    #[error("it may hold secrets ({0})")]
    Secret(&'static str),
    #[error("it holds installed dependencies")]
    Dependencies,
    #[error("it is a virtual environment")]
    VirtualEnvironment,
    #[error("it is a cache or a working file of another program")]
    Cache,
    #[error("it is build output")]
    BuildOutput,
}

impl Exclusion {
    /// A stable identifier for programs.
    pub(crate) const fn code(self) -> &'static str {
        match self {
            Self::IgnoreFile(_) => "ignored_file",
            Self::Secret(_) => "secret_file",
            Self::Dependencies | Self::VirtualEnvironment | Self::Cache | Self::BuildOutput => "junk_file",
        }
    }

    /// Whether a `!pattern` of an ignore file keeps it. Secrets are kept only by an explicit option.
    const fn yields_to_ignore_files(self) -> bool {
        !matches!(self, Self::Secret(_))
    }
}

/// Combines a built-in rule with the verdict of the ignore files.
pub(crate) fn combined(built_in: Option<Exclusion>, verdict: Option<Verdict>) -> Option<Exclusion> {
    match (built_in, verdict) {
        (Some(exclusion), Some(Verdict::Kept)) if exclusion.yields_to_ignore_files() => None,
        (Some(exclusion), _) => Some(exclusion),
        (None, Some(Verdict::Ignored(file))) => Some(Exclusion::IgnoreFile(file)),
        (None, Some(Verdict::Kept) | None) => None,
    }
}

/// The names in a folder.
pub(crate) type Names = BTreeSet<String>;

const DEPENDENCIES: [&str; 4] = ["node_modules", "bower_components", "jspm_packages", ".pnpm-store"];

/// Folders that only tools create, in every place.
const CACHES: [&str; 25] = [
    ".clawhub",
    ".cache",
    ".pytest_cache",
    ".mypy_cache",
    ".ruff_cache",
    ".pytype",
    ".hypothesis",
    ".ipynb_checkpoints",
    ".tox",
    ".nox",
    ".eggs",
    ".nyc_output",
    ".sass-cache",
    ".parcel-cache",
    ".turbo",
    ".gradle",
    ".terraform",
    ".dart_tool",
    ".idea",
    ".next",
    ".nuxt",
    ".svelte-kit",
    ".angular",
    ".aws-sam",
    "htmlcov",
];

/// Folders that hold keys and tokens of an account.
const SECRET_FOLDERS: [&str; 6] = [".ssh", ".gnupg", ".aws", ".azure", ".kube", ".gcloud"];

/// Why a folder is left out.
///
/// `children` are the names in it, `siblings` those beside it. Names such as `dist`, `build`, `target`, `bin` and `vendor`
/// are common in skills that bring their program along, so such a folder is left out only if its content or its siblings
/// show which tool wrote it.
pub(crate) fn excluded_folder(name: &str, children: &Names, siblings: &Names) -> Option<Exclusion> {
    let holds = |child: &str| children.contains(child);
    let beside = |names: &[&str]| names.iter().any(|name| siblings.contains(*name));
    if SECRET_FOLDERS.contains(&name) {
        return Some(Exclusion::Secret("keys and tokens of an account"));
    }
    if DEPENDENCIES.contains(&name) {
        return Some(Exclusion::Dependencies);
    }
    if matches!(name, ".venv" | "venv") || holds("pyvenv.cfg") {
        return Some(Exclusion::VirtualEnvironment);
    }
    // https://bford.info/cachedir/
    if CACHES.contains(&name) || holds("CACHEDIR.TAG") {
        return Some(Exclusion::Cache);
    }
    let is_python = beside(&["pyproject.toml", "setup.py"]);
    let is_build_output = match name {
        "target" => beside(&["Cargo.toml", "pom.xml"]),
        "build" => {
            holds("CMakeCache.txt")
                || beside(&["build.gradle", "build.gradle.kts"])
                || (is_python
                    && children
                        .iter()
                        .any(|child| child == "lib" || child.starts_with("bdist.")))
        }
        "dist" => is_python && !children.is_empty() && children.iter().all(|child| is_python_package(child)),
        "coverage" => holds("lcov.info") || holds("coverage-final.json"),
        "obj" => holds("project.assets.json"),
        _ => name.ends_with(".egg-info") || holds("CMakeCache.txt"),
    };
    is_build_output.then_some(Exclusion::BuildOutput)
}

fn is_python_package(name: &str) -> bool {
    name.ends_with(".whl") || name.ends_with(".tar.gz")
}

/// Why a file is left out, by its path with `/` as separator.
pub(crate) fn excluded_file(path: &str) -> Option<Exclusion> {
    if let Some(kind) = secret_by_name(path) {
        return Some(Exclusion::Secret(kind));
    }
    let name = path.rsplit('/').next().unwrap_or(path);
    let is_working_file = name.ends_with('~')
        || name.starts_with(".#")
        || matches!(
            name,
            ".coverage" | ".eslintcache" | "yarn-error.log" | ".ninja_log" | ".ninja_deps"
        )
        || name.starts_with("npm-debug.log")
        || [".swp", ".swo", ".tsbuildinfo"]
            .iter()
            .any(|end| name.len() > end.len() && name.ends_with(end));
    is_working_file.then_some(Exclusion::Cache)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Names {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn folders_that_tools_create_are_excluded() {
        for (name, children, siblings, expected) in [
            ("node_modules", &[][..], &[][..], Exclusion::Dependencies),
            (".venv", &[], &[], Exclusion::VirtualEnvironment),
            ("env", &["bin", "pyvenv.cfg"], &[], Exclusion::VirtualEnvironment),
            (".mypy_cache", &[], &[], Exclusion::Cache),
            ("out", &["CACHEDIR.TAG"], &[], Exclusion::Cache),
            ("target", &["debug"], &["Cargo.toml"], Exclusion::BuildOutput),
            ("build", &["CMakeCache.txt"], &[], Exclusion::BuildOutput),
            ("build", &["lib"], &["setup.py"], Exclusion::BuildOutput),
            (
                "dist",
                &["a-1.whl", "a-1.tar.gz"],
                &["pyproject.toml"],
                Exclusion::BuildOutput,
            ),
            ("a.egg-info", &["PKG-INFO"], &[], Exclusion::BuildOutput),
            (
                ".ssh",
                &["config"],
                &[],
                Exclusion::Secret("keys and tokens of an account"),
            ),
        ] {
            let found = excluded_folder(name, &names(children), &names(siblings));
            assert_eq!(found, Some(expected), "{name}");
        }
    }

    #[test]
    fn folders_of_skills_with_such_names_are_kept() {
        for (name, children, siblings) in [
            ("dist", &["cli.js"][..], &["package.json"][..]),
            ("dist", &["cli.js"], &["pyproject.toml"]),
            ("dist", &[], &["pyproject.toml"]),
            ("build", &["build.sh"], &["SKILL.md", "package.json"]),
            ("target", &["list.md"], &["SKILL.md"]),
            ("bin", &["run"], &["package.json"]),
            ("env", &["prod.yaml"], &[]),
            ("vendor", &["a.js"], &[]),
            ("coverage", &["README.md"], &[]),
            ("cache", &["README.md"], &[]),
            (".github", &["workflows"], &[]),
            (".vscode", &["settings.json"], &[]),
        ] {
            assert_eq!(
                excluded_folder(name, &names(children), &names(siblings)),
                None,
                "{name}"
            );
        }
    }

    #[test]
    fn working_files_are_excluded() {
        for (path, excluded) in [
            ("a/.SKILL.md.swp", true),
            ("SKILL.md~", true),
            ("tsconfig.tsbuildinfo", true),
            (".coverage", true),
            ("coverage.md", false),
            ("logs/sample.log", false),
            ("swp", false),
            ("package-lock.json", false),
        ] {
            assert_eq!(excluded_file(path).is_some(), excluded, "{path}");
        }
    }
}
