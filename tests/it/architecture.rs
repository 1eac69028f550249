//! Rules that the compiler cannot check: imports between modules go down only, files stay short, documents name existing paths.

use std::fs;
use std::path::{Path, PathBuf};

/// Every module of `src` with its layer; 0 is the lowest. A module imports lower layers only.
const LAYERS: [(&str, u8); 16] = [
    ("ids", 0),
    ("error", 0),
    ("config", 0),
    ("telemetry", 0),
    ("db", 1),
    ("tenancy", 2),
    ("registry", 3),
    ("search", 3),
    ("tools", 4),
    ("mcp_methods", 4),
    ("server", 5),
    ("bridge", 5),
    ("transport", 6),
    ("isolation_probe", 6),
    ("cli", 7),
    ("main", 7),
];

/// Imports allowed between modules of one layer: one direction each, so that no cycle can close.
const SAME_LAYER_IMPORTS: [(&str, &str); 3] = [
    // The log format is a setting.
    ("telemetry", "config"),
    // The index of a tenant's skills is built from the registry's rows.
    ("search", "registry"),
    // A method that reads a skill needs the permission of the tool that does the same.
    ("mcp_methods", "tools"),
];

/// Macros at the top of the crate, which are not modules.
const MACROS: [&str; 1] = ["sql"];

const MAX_LINES: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    found.sort();
    found
}

/// The module that a file belongs to: `db` for `src/db.rs` and `src/db/tx.rs`.
fn module_of(file: &Path) -> String {
    let inside = file.strip_prefix(root().join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

fn layer(module: &str) -> Option<u8> {
    LAYERS
        .iter()
        .find(|(name, _)| *name == module)
        .map(|(_, layer)| *layer)
}

/// A source without its comments, whose links (`[crate::db]`) import nothing.
fn code(text: &str) -> String {
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Every module that the text names behind `crate::`, also those in braces: `use crate::{db, ids::SkillId}`.
fn imported_modules(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, found) in text.match_indices("crate::") {
        let is_whole_word = !text[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        let rest = &text[at + found.len()..];
        if !is_whole_word {
            continue;
        }
        match rest.strip_prefix('{') {
            None => modules.push(first_word(rest)),
            Some(list) => modules.extend(top_level_items(list).into_iter().map(first_word)),
        }
    }
    modules
}

fn first_word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

/// The items between commas up to the brace that closes the list, without those in braces of their own.
fn top_level_items(list: &str) -> Vec<&str> {
    let (mut items, mut depth, mut from) = (Vec::new(), 0_usize, 0);
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => {
                items.push(&list[from..at]);
                break;
            }
            '}' => depth -= 1,
            ',' if depth == 0 => {
                items.push(&list[from..at]);
                from = at + 1;
            }
            _ => {}
        }
    }
    items.retain(|item| !item.trim().is_empty());
    items
}

/// Why one module may not import another, or `None`.
fn violation(from: &str, to: &str) -> Option<String> {
    if from == to || MACROS.contains(&to) || SAME_LAYER_IMPORTS.contains(&(from, to)) {
        return None;
    }
    let (Some(high), Some(low)) = (layer(from), layer(to)) else {
        return Some(format!("{from} imports {to}: one of them is not in LAYERS"));
    };
    (low >= high).then(|| format!("{from} (layer {high}) imports {to} (layer {low})"))
}

#[test]
fn imports_go_down_only() {
    let mut wrong = Vec::new();
    let mut judged = 0;
    for file in sources(&root().join("src")) {
        let from = module_of(&file);
        if from == "lib" {
            continue;
        }
        assert!(
            layer(&from).is_some(),
            "{} belongs to no module of LAYERS",
            file.display()
        );
        for to in imported_modules(&code(&fs::read_to_string(&file).unwrap())) {
            judged += 1;
            wrong.extend(violation(&from, &to).map(|why| format!("{}: {why}", file.display())));
        }
    }
    assert!(judged > 100, "only {judged} imports were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The test above must be able to fail.
#[test]
fn an_import_that_goes_up_or_closes_a_circle_is_seen() {
    assert_eq!(
        imported_modules("use crate::{db::{Pool, tx}, ids};\nlet x = crate::tools::Call;"),
        ["db", "ids", "tools"]
    );
    assert_eq!(
        imported_modules(&code("/// See [crate::cli].\nuse mycrate::db;")),
        Vec::<String>::new()
    );
    assert!(violation("db", "tools").is_some());
    assert!(violation("registry", "search").is_some());
    assert!(violation("search", "registry").is_none());
    assert!(violation("config", "telemetry").is_some());
    assert!(violation("tools", "attic").is_some());
    assert!(violation("cli", "db").is_none());
}

/// Only the library's own name leads from `main.rs` into the library, past what the test above reads.
#[test]
fn the_program_is_one_call_into_the_library() {
    let text = code(&fs::read_to_string(root().join("src/main.rs")).unwrap());
    assert_eq!(text.matches("skillkeep::").count(), 1);
    assert!(text.contains("skillkeep::cli::main()"));
}

/// Without the unit tests at the end, which are read one at a time.
#[test]
fn no_source_file_is_longer_than_400_lines() {
    assert!(!sources(&root().join("src")).is_empty());
    let mut long = Vec::new();
    for folder in ["src", "crates", "tests", "benches"] {
        for file in sources(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            let own = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
            let lines = own.lines().count();
            if lines > MAX_LINES {
                long.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// The texts between single backticks outside fenced blocks.
fn backticked(text: &str) -> Vec<String> {
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
fn is_path(text: &str) -> bool {
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
        "src", "crates", "docs", "sql", "tests", "benches", "samples", ".ci", "dev",
    ];
    let first = text.split('/').next().unwrap_or_default();
    plain
        && text.starts_with(|c: char| c.is_alphanumeric() || c == '.')
        && ((text.contains('/') && top.contains(&first))
            || extension.is_some_and(|extension| known.contains(&extension)))
}

/// A path from the root, or as people write it of sources: `db/tx.rs`, `main.rs`.
fn exists(path: &str) -> bool {
    if root().join(path).exists() || root().join("src").join(path).exists() {
        return true;
    }
    let is_name = !path.contains('/');
    is_name
        && ["src", "crates", "sql", "tests", "samples", "benches"]
            .iter()
            .any(|folder| {
                walkdir::WalkDir::new(root().join(folder))
                    .into_iter()
                    .flatten()
                    .any(|entry| entry.file_name() == path)
            })
}

/// Files that users have and this repository does not.
const NOT_OURS: [&str; 4] = [
    "SKILL.md",
    "skill.md",
    "claude_desktop_config.json",
    "config.toml",
];

#[test]
fn paths_named_in_the_documents_exist() {
    let mut missing = Vec::new();
    for document in ["README.md", "ARCHITECTURE.md"] {
        let Ok(text) = fs::read_to_string(root().join(document)) else {
            missing.push(format!("{document} itself"));
            continue;
        };
        for path in backticked(&text).iter().filter(|text| is_path(text)) {
            if !NOT_OURS.contains(&path.as_str()) && !exists(path) {
                missing.push(format!("{document}: {path}"));
            }
        }
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The test above must be able to fail.
#[test]
fn a_path_is_told_from_other_words_in_backticks() {
    for path in ["src/db/tx.rs", "sql/queries", "Cargo.toml", ".ci/run", "tx.rs"] {
        assert!(is_path(path), "{path}");
    }
    for other in [
        "/mcp",
        "skills/list",
        "~/.claude/skills",
        "tools/call",
        "2026-07-28",
        "cargo bench",
        "src/*.rs",
    ] {
        assert!(!is_path(other), "{other}");
    }
    assert!(exists("src/db/tx.rs") && exists("tx.rs") && !exists("src/db/attic.rs"));
    assert_eq!(backticked("a `b` c `d`\n```\n`e`\n```\n"), ["b", "d"]);
}
