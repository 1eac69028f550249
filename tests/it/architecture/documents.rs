//! Finds the paths and test names that the documents mention.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::source::{root, sources};

/// Names of users' files, which are not in this repository.
const USER_FILES: [&str; 14] = [
    "SKILL.md",
    "skill.md",
    "claude_desktop_config.json",
    "config.toml",
    "plugin.json",
    "marketplace.json",
    "origin.json",
    "opencode.json",
    "lock.json",
    "skills-lock.json",
    "skillkeep.toml",
    "skillkeep.lock",
    ".skillkeep.json",
    "logins.json",
];
/// Shorter names in the documents can be columns, roles or settings.
const MIN_TEST_NAME_WORDS: usize = 5;

/// The documents that name files and tests. CHANGELOG.md is none of them: it describes the past.
pub(super) fn documents() -> Vec<PathBuf> {
    let mut documents: Vec<PathBuf> = ["README.md", "ARCHITECTURE.md", "SECURITY.md", "CONTRIBUTING.md"]
        .map(|name| root().join(name))
        .into();
    let pages = fs::read_dir(root().join("docs")).unwrap();
    documents.extend(
        pages
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "md")),
    );
    documents.sort();
    documents
}

/// The paths and test names in a document that do not exist.
pub(super) fn missing_references(document: &Path, text: &str, functions: &BTreeSet<String>) -> Vec<String> {
    let mut missing = Vec::new();
    for code in backticked(text) {
        let file_name = code.rsplit('/').next().unwrap_or_default();
        if is_path(&code) && !USER_FILES.contains(&file_name) && !path_exists(&code) {
            missing.push(code);
        } else if let Some(name) = test_name(&code)
            && !functions.contains(name)
        {
            missing.push(name.to_owned());
        }
    }
    missing.extend(link_targets(text).into_iter().filter(|target| {
        let path = document.parent().unwrap().join(target);
        !path.exists()
    }));
    missing.extend(
        test_filters(text)
            .into_iter()
            .filter(|filter| !filter_matches(filter, functions)),
    );
    missing
}

/// The names of all functions in sources and tests.
pub(super) fn functions() -> BTreeSet<String> {
    let mut functions = BTreeSet::new();
    for folder in ["src", "crates", "tests", "benches"] {
        for file in sources(&root().join(folder)) {
            let text = fs::read_to_string(file).unwrap();
            functions.extend(
                text.split("fn ")
                    .skip(1)
                    .map(|rest| rest.chars().take_while(|c| is_name_char(*c)).collect()),
            );
        }
    }
    functions
}

fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_'
}

/// The texts between single backticks outside fenced blocks.
pub(super) fn backticked(text: &str) -> Vec<String> {
    let mut is_fenced = false;
    let mut found = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            is_fenced = !is_fenced;
        } else if !is_fenced {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Names of files and folders of ours: not `/mcp`, not `skills/list`, not `~/.claude/skills`, not a pattern.
pub(super) fn is_path(text: &str) -> bool {
    let plain = text
        .chars()
        .all(|c| c.is_ascii_alphanumeric() || "._-/".contains(c));
    let extension = Path::new(text)
        .extension()
        .and_then(|extension| extension.to_str());
    let known = [
        "rs", "sql", "toml", "md", "json", "yml", "yaml", "sh", "py", "lock",
    ];
    let top = [
        "src",
        "crates",
        "docs",
        "sql",
        "tests",
        "benches",
        "samples",
        ".ci",
        "dev",
        "packaging",
        "fuzz",
    ];
    let first = text.split('/').next().unwrap_or_default();
    plain
        && text.starts_with(|c: char| c.is_alphanumeric() || c == '.')
        && ((text.contains('/') && top.contains(&first))
            || extension.is_some_and(|extension| known.contains(&extension)))
}

/// A path from the root, or as people write it of sources: `db/tx.rs`, `main.rs`.
pub(super) fn path_exists(path: &str) -> bool {
    if root().join(path).exists() || root().join("src").join(path).exists() {
        return true;
    }
    let is_name = !path.contains('/');
    is_name
        && [
            "src",
            "crates",
            "docs",
            "sql",
            "tests",
            "samples",
            "benches",
            "packaging",
        ]
        .iter()
        .any(|folder| {
            walkdir::WalkDir::new(root().join(folder))
                .into_iter()
                .flatten()
                .any(|entry| entry.file_name() == path)
        })
}

/// The name of a test in `module::name` or `name`: at least five words in snake case.
pub(super) fn test_name(code: &str) -> Option<&str> {
    let name = code.rsplit("::").next()?;
    let is_snake_case = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
    (is_snake_case && name.split('_').filter(|word| !word.is_empty()).count() >= MIN_TEST_NAME_WORDS)
        .then_some(name)
}

/// The filters in `cargo test --test it FILTER`, also in fenced blocks.
pub(super) fn test_filters(text: &str) -> Vec<String> {
    text.split("--test it ")
        .skip(1)
        .map(|rest| {
            rest.chars()
                .take_while(|c| is_name_char(*c) || *c == ':')
                .collect()
        })
        .filter(|filter: &String| filter.starts_with(|c: char| c.is_ascii_lowercase()))
        .collect()
}

/// Whether a filter names a test module, or is part of a function's name.
pub(super) fn filter_matches(filter: &str, functions: &BTreeSet<String>) -> bool {
    let filter = filter.trim_end_matches("::");
    let tests = root().join("tests/it");
    let module = tests.join(filter.replace("::", "/"));
    let (parent, name) = filter.rsplit_once("::").unwrap_or(("", filter));
    let is_module = |path: &Path| path.with_extension("rs").exists();
    is_module(&module)
        || ((parent.is_empty() || is_module(&tests.join(parent.replace("::", "/"))))
            && (functions.iter().any(|function| function.contains(name))
                || sources(&tests).iter().any(|file| {
                    file.file_stem()
                        .is_some_and(|stem| stem.to_string_lossy().contains(name))
                })))
}

/// The targets of links to files, without fragments.
pub(super) fn link_targets(text: &str) -> Vec<String> {
    text.split("](")
        .skip(1)
        .filter_map(|rest| rest.split_once(')'))
        .map(|(target, _)| target.split('#').next().unwrap_or_default().to_owned())
        .filter(|target| !target.is_empty() && !target.contains("://") && !target.starts_with("mailto:"))
        .collect()
}
