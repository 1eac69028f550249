//! Reads Rust sources as text.

use std::path::{Path, PathBuf};

pub(super) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// All Rust files in a folder, sorted.
pub(super) fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = walkdir::WalkDir::new(folder)
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .collect();
    found.sort();
    found
}

/// A source without the unit tests at its end.
pub(super) fn without_tests(text: &str) -> &str {
    text.split("#[cfg(test)]\nmod tests {").next().unwrap_or_default()
}

/// A source without unit tests, comments and the contents of strings, so that only code is left.
pub(super) fn strip(text: &str) -> String {
    let text = without_tests(text);
    let mut code = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let skipped = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if first == '"' {
            code.push_str("\"\"");
            string_len(rest)
        } else if let Some(len) = raw_string_len(rest, &code) {
            code.push_str("\"\"");
            len
        } else if first == '\'' {
            // A character, whose quote or backslash must not begin a string; otherwise a lifetime.
            ["'\"'", "'\\\"'", "'\\\\'", "'\\''"]
                .iter()
                .find(|literal| rest.starts_with(**literal))
                .map_or(1, |literal| literal.len())
        } else {
            code.push(first);
            first.len_utf8()
        };
        rest = &rest[skipped..];
    }
    code
}

/// The length of the string literal at the beginning of the text, with its quotes.
fn string_len(text: &str) -> usize {
    let mut is_escaped = false;
    for (at, c) in text.char_indices().skip(1) {
        match c {
            _ if is_escaped => is_escaped = false,
            '\\' => is_escaped = true,
            '"' => return at + 1,
            _ => {}
        }
    }
    text.len()
}

/// The length of the raw string literal at the beginning of the text, if there is one.
fn raw_string_len(text: &str, before: &str) -> Option<usize> {
    if before.ends_with(|c: char| c.is_alphanumeric() || c == '_') {
        return None;
    }
    let after = text.strip_prefix('r')?;
    let hashes = after.len() - after.trim_start_matches('#').len();
    let content = after[hashes..].strip_prefix('"')?;
    let end = format!("\"{}", "#".repeat(hashes));
    let len = content.find(&end).map_or(content.len(), |at| at + end.len());
    Some(text.len() - content.len() + len)
}

/// The lines of each function that is longer than allowed, by its name. Relies on rustfmt's indentation.
pub(super) fn long_functions(text: &str, max_lines: usize) -> Vec<(String, usize)> {
    let lines: Vec<&str> = without_tests(text).lines().collect();
    let mut long = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let indent = line.len() - line.trim_start().len();
        let Some((before, rest)) = line.split_once("fn ") else {
            continue;
        };
        let is_declaration = before
            .split_whitespace()
            .all(|word| word.starts_with("pub") || ["async", "const", "unsafe", "extern"].contains(&word));
        if !is_declaration || line.trim_end().ends_with(';') {
            continue;
        }
        let close = format!("{}}}", " ".repeat(indent));
        let end = lines[at..].iter().position(|line| *line == close);
        if let Some(end) = end.filter(|end| end + 1 > max_lines) {
            long.push((first_word(rest), end + 1));
        }
    }
    long
}

/// The identifier at the beginning of a text.
pub(super) fn first_word(text: &str) -> String {
    text.trim_start()
        .chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}
