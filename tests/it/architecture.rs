//! Rules that the compiler does not check: imports between modules, the size of files, and references in the documents.

mod documents;
mod imports;
mod source;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use imports::CrateSources;
use source::{first_word, long_functions, root, sources, strip, without_tests};

/// Every module of `src` with its layer; 0 is the lowest. A module imports lower layers only. The workspace's other crates need no
/// layer, because Cargo rejects cycles between crates.
const LAYERS: [(&str, u8); 24] = [
    ("answer_size", 0),
    ("ids", 0),
    ("error", 0),
    ("config", 0),
    ("shown_text", 0),
    ("telemetry", 0),
    ("json_rpc", 0),
    ("db", 1),
    ("tenancy", 2),
    ("registry", 3),
    ("search", 3),
    ("tools", 4),
    ("mcp_methods", 4),
    ("fetches", 4),
    ("local_install", 4),
    ("access", 4),
    ("server", 5),
    ("bridge", 5),
    ("transport", 6),
    ("isolation_probe", 6),
    ("tool_client", 6),
    ("scripted", 6),
    ("cli", 7),
    ("main", 7),
];

/// Imports allowed between modules of one layer.
const SAME_LAYER_IMPORTS: [(&str, &str); 6] = [
    // The log format is a setting.
    ("telemetry", "config"),
    // Logs hold texts of callers.
    ("telemetry", "shown_text"),
    // The search index is built from the registry's rows.
    ("search", "registry"),
    // A method that reads a skill requires the permission of the tool that does the same.
    ("mcp_methods", "tools"),
    // So does a fetch, and it refuses in the tool's words.
    ("fetches", "tools"),
    // Scripted tests make their calls with the client.
    ("scripted", "tool_client"),
];

/// Exported macros, which are no modules.
const MACROS: [&str; 1] = ["sql"];

const MAX_FILE_LINES: usize = 400;
const MAX_FUNCTION_LINES: usize = 70;

/// The top-level module of a file: `db` for `src/db.rs` and `src/db/tx.rs`.
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

/// The modules named behind `crate::`, also in braces: `use crate::{db, ids::SkillId}`.
fn imported_modules(code: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (at, found) in code.match_indices("crate::") {
        let is_whole_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$');
        let rest = &code[at + found.len()..];
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

/// The items between commas up to the brace that closes the list, without those in inner braces.
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
fn modules_import_lower_layers_only() {
    let mut wrong = Vec::new();
    let mut checked = 0;
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
        // Unit tests too: they are part of the module.
        let text = fs::read_to_string(&file).unwrap();
        let code: Vec<&str> = text
            .lines()
            .map(|line| line.split("//").next().unwrap_or_default())
            .collect();
        for to in imported_modules(&code.join("\n")) {
            checked += 1;
            wrong.extend(violation(&from, &to).map(|why| format!("{}: {why}", file.display())));
        }
    }
    assert!(checked > 100, "only {checked} imports were found");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The test above must be able to fail.
#[test]
fn import_of_a_higher_or_unknown_layer_is_found() {
    assert_eq!(
        imported_modules("use crate::{db::{Pool, tx}, ids};\nlet x = crate::tools::Call;"),
        ["db", "ids", "tools"]
    );
    assert_eq!(
        imported_modules(&strip("/// See [crate::cli].\nuse mycrate::db;")),
        Vec::<String>::new()
    );
    assert!(violation("db", "tools").is_some());
    assert!(violation("registry", "search").is_some());
    assert!(violation("search", "registry").is_none());
    assert!(violation("config", "telemetry").is_some());
    assert!(violation("tools", "attic").is_some());
    assert!(violation("cli", "db").is_none());
}

#[test]
fn no_source_files_import_each_other() {
    let mut cycles = Vec::new();
    let mut dependencies = 0;
    let crates = fs::read_dir(root().join("crates")).unwrap();
    let folders = crates.map(|entry| entry.unwrap().path().join("src"));
    for folder in std::iter::once(root().join("src")).chain(folders) {
        let sources = CrateSources::read(&folder);
        dependencies += sources.count_dependencies();
        let name = folder.strip_prefix(root()).unwrap().display().to_string();
        cycles.extend(
            sources
                .cycles()
                .into_iter()
                .map(|cycle| format!("{name}: {cycle}")),
        );
    }
    assert!(dependencies > 500, "only {dependencies} dependencies were found");
    assert!(
        cycles.is_empty(),
        "{} import cycles:\n{}",
        cycles.len(),
        cycles.join("\n")
    );
}

fn cycles_of(files: &[(&str, &str)]) -> Vec<String> {
    let files = files.iter().map(|(module, text)| {
        let module = module.split("::").filter(|name| !name.is_empty());
        (module.map(str::to_owned).collect(), (*text).to_owned())
    });
    CrateSources::new(files).cycles()
}

/// The test above must be able to fail.
#[test]
fn import_cycles_are_found_and_reexports_are_followed() {
    for (files, expected) in [
        // A direct cycle, once by `super` and once by a qualified path.
        (
            vec![
                ("", "mod a;"),
                ("a", "mod b;\nmod c;"),
                ("a::b", "use super::c::Item;"),
                ("a::c", "fn f() { crate::a::b::g() }"),
            ],
            vec!["a::b -> a::c -> a::b"],
        ),
        // `b` and `c` depend on each other through the re-exports in `a`, which itself depends on neither.
        (
            vec![
                (
                    "a",
                    "mod b;\nmod c;\npub use b::{Left, g as h};\npub use c::Item;",
                ),
                ("a::b", "use super::{Item, other};"),
                ("a::c", "use crate::a::h;"),
            ],
            vec!["a::b -> a::c -> a::b"],
        ),
        // A child may use items of its parent, but not of a module that uses the parent.
        (
            vec![
                (
                    "a",
                    "mod b;\npub use b::Item;\npub struct Own;\nfn f(item: Item) {}",
                ),
                ("a::b", "use super::Own;\nuse crate::c::Other;"),
                ("c", "fn f() { crate::a::Own }"),
            ],
            vec!["a -> a::b -> c -> a"],
        ),
        // A longer one, through an imported module's name.
        (
            vec![
                ("a", "use crate::b;\nfn f() { b::g() }"),
                ("b", "use crate::c::{self, d};\nfn g() { c::h() }"),
                ("c", "use crate::a::f;"),
            ],
            vec!["a -> b -> c -> a"],
        ),
        // None: imports in one direction, re-exports, comments, strings and tests.
        (
            vec![
                ("a", "mod b;\npub use b::Item;\npub(crate) use b::other;"),
                (
                    "a::b",
                    "use crate::c::Low;\n/// See [`super::x`].\nconst X: &str = \"crate::d::y\";",
                ),
                (
                    "c",
                    "use std::fmt;\n#[cfg(test)]\nmod tests {\n use crate::a::Item; }",
                ),
                ("d", "use crate::a::{Item, other};\nuse serde::Deserialize;"),
            ],
            vec![],
        ),
    ] {
        let mut found = cycles_of(&files);
        let mut expected: Vec<String> = expected.into_iter().map(str::to_owned).collect();
        found.sort();
        expected.sort();
        assert_eq!(found, expected, "{files:?}");
    }
}

/// `main.rs` is a crate of its own, whose imports the tests above do not see.
#[test]
fn program_is_one_call_into_the_library() {
    let text = strip(&fs::read_to_string(root().join("src/main.rs")).unwrap());
    assert_eq!(text.matches("skillkeep::").count(), 1);
    assert!(text.contains("skillkeep::cli::main()"));
}

#[test]
fn files_have_at_most_400_lines_without_unit_tests() {
    assert!(!sources(&root().join("src")).is_empty());
    let mut long = Vec::new();
    for folder in ["src", "crates", "tests", "benches"] {
        for file in sources(&root().join(folder)) {
            let text = fs::read_to_string(&file).unwrap();
            let lines = without_tests(&text).lines().count();
            if lines > MAX_FILE_LINES {
                long.push(format!("{}: {lines} lines", file.display()));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn functions_have_at_most_70_lines() {
    let mut long = Vec::new();
    for folder in ["src", "crates"] {
        for file in sources(&root().join(folder)) {
            let found = long_functions(&fs::read_to_string(&file).unwrap(), MAX_FUNCTION_LINES);
            long.extend(
                found
                    .into_iter()
                    .map(|(name, lines)| format!("{}: {name} has {lines} lines", file.display())),
            );
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

/// The test above must be able to fail.
#[test]
fn function_of_71_lines_is_found() {
    let function = |lines: usize| {
        format!(
            "    pub(super) async fn f() {{\n{}    }}\n",
            "        g();\n".repeat(lines - 2)
        )
    };
    assert_eq!(long_functions(&function(70), MAX_FUNCTION_LINES), []);
    assert_eq!(
        long_functions(&function(71), MAX_FUNCTION_LINES),
        [("f".to_owned(), 71)]
    );
}

#[test]
fn paths_and_tests_named_in_the_documents_exist() {
    let functions = documents::functions();
    let mut missing = Vec::new();
    for document in documents::documents() {
        let name = document.strip_prefix(root()).unwrap().display().to_string();
        let Ok(text) = fs::read_to_string(&document) else {
            missing.push(format!("{name} itself"));
            continue;
        };
        let found = documents::missing_references(&document, &text, &functions);
        missing.extend(found.into_iter().map(|reference| format!("{name}: {reference}")));
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

/// The test above must be able to fail.
#[test]
fn missing_references_in_a_document_are_found() {
    for path in ["src/db/tx.rs", "sql/queries", "Cargo.toml", ".ci/run", "tx.rs"] {
        assert!(documents::is_path(path), "{path}");
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
        assert!(!documents::is_path(other), "{other}");
    }
    assert!(documents::path_exists("src/db/tx.rs") && documents::path_exists("tx.rs"));
    assert!(!documents::path_exists("src/db/attic.rs"));
    assert_eq!(documents::backticked("a `b` c `d`\n```\n`e`\n```\n"), ["b", "d"]);
    let text = "`src/attic.rs`, `skillkeep_app`, `attacks::no_such_test_is_in_here`, `some_test_that_is_there`,\n\
                [here](SECURITY.md#x), [there](docs/attic.md), [web](https://example.com/x.md)\n\
                ```\ncargo test --test it attacks::\ncargo test --test it attic::\n```\n";
    let functions = BTreeSet::from(["some_test_that_is_there".to_owned()]);
    assert_eq!(
        documents::missing_references(&root().join("README.md"), text, &functions),
        [
            "src/attic.rs",
            "no_such_test_is_in_here",
            "docs/attic.md",
            "attic::"
        ]
    );
}
