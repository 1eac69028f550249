//! Finds import cycles between the source files of a crate.
//!
//! A file depends on the file that defines an item which it imports or names by a path. Re-exports are followed to that file, so a
//! module that re-exports its children does not depend on them. A dependency of a file on the modules that contain it does not count,
//! because a module and its parts are read together.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::source::{sources, strip};

/// Longer chains of re-exports do not exist.
const MAX_STEPS: usize = 16;

/// A module path inside the crate: `["db", "tx"]` for `src/db/tx.rs`, empty for `src/lib.rs`.
type Module = Vec<String>;

#[derive(Default)]
struct SourceFile {
    /// Imported names with their paths.
    imports: BTreeMap<String, Vec<String>>,
    /// Paths that create a dependency: of private imports, of re-exports used in the file, and of qualified names.
    uses: Vec<Vec<String>>,
}

/// The files of one crate by module.
pub(super) struct CrateSources {
    files: BTreeMap<Module, SourceFile>,
}

enum Resolved {
    Item(Module),
    Module(Module),
    External,
}

impl CrateSources {
    /// Reads all files below `src`, without the binary's and without test modules.
    pub(super) fn read(src: &Path) -> Self {
        let files = sources(src).into_iter().filter_map(|path| {
            let inside = path.strip_prefix(src).unwrap().with_extension("");
            let mut module: Module = inside
                .components()
                .map(|part| part.as_os_str().to_string_lossy().into_owned())
                .collect();
            match module.last().map(String::as_str) {
                Some("main" | "tests") => return None,
                Some("lib") => module.clear(),
                Some(_) | None => {}
            }
            Some((module, std::fs::read_to_string(&path).unwrap()))
        });
        Self::new(files)
    }

    pub(super) fn new(files: impl IntoIterator<Item = (Module, String)>) -> Self {
        let files = files
            .into_iter()
            .map(|(module, text)| (module, SourceFile::parse(&strip(&text))))
            .collect();
        Self { files }
    }

    pub(super) fn count_dependencies(&self) -> usize {
        self.files
            .keys()
            .map(|module| self.dependencies(module).len())
            .sum()
    }

    /// Returns one shortest cycle for each group of files that import each other, such as `db::a -> db::b -> db::a`.
    pub(super) fn cycles(&self) -> Vec<String> {
        let graph: BTreeMap<&Module, BTreeSet<Module>> = self
            .files
            .keys()
            .map(|module| (module, self.dependencies(module)))
            .collect();
        let mut reported: BTreeSet<&Module> = BTreeSet::new();
        let mut cycles = Vec::new();
        for start in graph.keys() {
            if reported.contains(start) {
                continue;
            }
            if let Some(cycle) = shortest_cycle(&graph, start) {
                let names: Vec<String> = cycle.iter().map(|module| module.join("::")).collect();
                cycles.push(names.join(" -> "));
                reported.extend(graph.keys().filter(|module| cycle.contains(module)));
            }
        }
        cycles
    }

    fn dependencies(&self, module: &Module) -> BTreeSet<Module> {
        self.files[module]
            .uses
            .iter()
            .filter_map(|path| match self.resolve(module, path, MAX_STEPS) {
                Resolved::Item(target) if !module.starts_with(&target) => Some(target),
                Resolved::Item(_) | Resolved::Module(_) | Resolved::External => None,
            })
            .collect()
    }

    fn resolve(&self, from: &Module, path: &[String], steps: usize) -> Resolved {
        let (Some(first), Some(steps)) = (path.first(), steps.checked_sub(1)) else {
            return Resolved::External;
        };
        let mut at = from.clone();
        let mut rest = path;
        match first.as_str() {
            "crate" => at.clear(),
            "self" => {}
            "super" => {
                while rest.get(1).is_some_and(|next| next == "super") {
                    at.pop();
                    rest = &rest[1..];
                }
                at.pop();
            }
            name => {
                let mut child = from.clone();
                child.push(name.to_owned());
                if self.files.contains_key(&child) {
                    at = child;
                } else if let Some(target) = self.files[from].imports.get(name) {
                    // A name that is imported under itself, such as an external crate's.
                    if target.first() == Some(first) {
                        return Resolved::External;
                    }
                    match self.resolve(from, target, steps) {
                        Resolved::Module(module) => at = module,
                        other @ (Resolved::Item(_) | Resolved::External) => return other,
                    }
                } else {
                    return Resolved::External;
                }
            }
        }
        for name in &rest[1..] {
            let mut child = at.clone();
            child.push(name.clone());
            if self.files.contains_key(&child) {
                at = child;
                continue;
            }
            let imported = self.files[&at].imports.get(name);
            return match imported.map(|target| self.resolve(&at, target, steps)) {
                // Defined here, or re-exported from another crate.
                None | Some(Resolved::External) => Resolved::Item(at),
                Some(resolved) => resolved,
            };
        }
        Resolved::Module(at)
    }
}

/// A shortest path from `start` back to it.
fn shortest_cycle(graph: &BTreeMap<&Module, BTreeSet<Module>>, start: &Module) -> Option<Vec<Module>> {
    let mut previous: BTreeMap<Module, Module> = BTreeMap::new();
    let mut queue = std::collections::VecDeque::from([start.clone()]);
    while let Some(module) = queue.pop_front() {
        for next in graph.get(&module).into_iter().flatten() {
            if next == start {
                let mut cycle = vec![start.clone(), module.clone()];
                let mut at = &module;
                while let Some(before) = previous.get(at) {
                    cycle.push(before.clone());
                    at = before;
                }
                cycle.reverse();
                return Some(cycle);
            }
            if !previous.contains_key(next) {
                previous.insert(next.clone(), module.clone());
                queue.push_back(next.clone());
            }
        }
    }
    None
}

impl SourceFile {
    fn parse(text: &str) -> Self {
        let tokens = tokens(text);
        let mut file = Self::default();
        let mut reexports = Vec::new();
        let mut names = BTreeSet::new();
        let mut at = 0;
        while at < tokens.len() {
            if tokens[at] == "use" {
                let is_reexport = at > 0 && ["pub", ")"].contains(&tokens[at - 1].as_str());
                let end = (at..tokens.len())
                    .find(|index| tokens[*index] == ";")
                    .unwrap_or(tokens.len());
                let mut imported = Vec::new();
                parse_use_tree(&tokens[at + 1..end], &mut 0, &[], &mut imported);
                for (name, path) in imported {
                    if is_reexport {
                        reexports.push((name.clone(), path.clone()));
                    } else {
                        file.uses.push(path.clone());
                    }
                    file.imports.insert(name, path);
                }
                at = end;
            } else if is_name(&tokens[at]) {
                let mut path = vec![tokens[at].clone()];
                while tokens.get(at + 1).is_some_and(|token| token == "::")
                    && tokens.get(at + 2).is_some_and(|token| is_name(token))
                {
                    at += 2;
                    path.push(tokens[at].clone());
                }
                names.insert(path[0].clone());
                if path.len() > 1 {
                    file.uses.push(path);
                }
            }
            at += 1;
        }
        let used = reexports.into_iter().filter(|(name, _)| names.contains(name));
        file.uses.extend(used.map(|(_, path)| path));
        file
    }
}

/// Collects the names of `a::{b, c as d, e::*}` with their paths. A glob counts as its module and an item in it.
fn parse_use_tree(
    tokens: &[String],
    at: &mut usize,
    prefix: &[String],
    imported: &mut Vec<(String, Vec<String>)>,
) {
    let mut path = prefix.to_vec();
    while let Some(token) = tokens.get(*at) {
        *at += 1;
        match token.as_str() {
            "::" => {}
            "{" => {
                while tokens.get(*at).is_some_and(|token| token != "}") {
                    parse_use_tree(tokens, at, &path, imported);
                    if tokens.get(*at).is_some_and(|token| token == ",") {
                        *at += 1;
                    }
                }
                *at += 1;
                return;
            }
            "as" => {
                let name = tokens.get(*at).cloned().unwrap_or_default();
                *at += 1;
                imported.push((name, path));
                return;
            }
            "," | "}" => {
                *at -= 1;
                break;
            }
            "self" if !path.is_empty() => {}
            name => path.push(name.to_owned()),
        }
    }
    if let Some(name) = path.last().cloned() {
        imported.push((name, path));
    }
}

fn is_name(token: &str) -> bool {
    token.starts_with(|c: char| c.is_alphabetic() || c == '_')
}

fn tokens(text: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        if c.is_alphanumeric() || c == '_' {
            let mut word = c.to_string();
            while let Some(next) = chars.next_if(|c| c.is_alphanumeric() || *c == '_') {
                word.push(next);
            }
            tokens.push(word);
        } else if c == ':' && chars.next_if_eq(&':').is_some() {
            tokens.push("::".to_owned());
        } else if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    tokens
}
