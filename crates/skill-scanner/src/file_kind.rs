//! What a file is, by its path and its first bytes.

use serde::{Deserialize, Serialize};

use crate::options::ScanFile;

/// How many bytes decide whether a file is text.
const SNIFFED_BYTES: usize = 8 * 1024;

/// What a file is. A rule may be limited to some kinds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum FileKind {
    /// `SKILL.md`, which the assistant reads first.
    SkillMd,
    /// Prose that the assistant may read later.
    Document,
    /// A program as text.
    Script,
    /// Settings: JSON, YAML, TOML, `.env`.
    Config,
    /// Other text.
    Data,
    /// Not text. Rules for text skip it.
    Binary,
}

const DOCUMENTS: [&str; 9] = [
    "md", "mdx", "markdown", "txt", "rst", "adoc", "html", "htm", "mdc",
];
const SCRIPTS: [&str; 29] = [
    "sh",
    "bash",
    "zsh",
    "fish",
    "py",
    "pyw",
    "js",
    "mjs",
    "cjs",
    "ts",
    "tsx",
    "jsx",
    "rb",
    "pl",
    "php",
    "ps1",
    "psm1",
    "bat",
    "cmd",
    "lua",
    "go",
    "rs",
    "java",
    "kt",
    "swift",
    "applescript",
    "vbs",
    "r",
    "command",
];
const CONFIGS: [&str; 11] = [
    "json",
    "jsonc",
    "yaml",
    "yml",
    "toml",
    "ini",
    "cfg",
    "conf",
    "env",
    "properties",
    "xml",
];

/// The extension in lowercase. A dot file such as `.env` has its name as extension.
pub(crate) fn extension(path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    name.rsplit_once('.')
        .map(|(_, extension)| extension.to_ascii_lowercase())
        .unwrap_or_default()
}

/// A file with an extension of text is text with any content: a NUL must not keep it from being scanned.
pub(crate) fn file_kind(file: &ScanFile<'_>) -> FileKind {
    if file.path.eq_ignore_ascii_case("SKILL.md") {
        return FileKind::SkillMd;
    }
    let extension = extension(file.path);
    let is_in = |list: &[&str]| list.contains(&&*extension);
    if is_in(&DOCUMENTS) {
        FileKind::Document
    } else if is_in(&SCRIPTS) {
        FileKind::Script
    } else if is_in(&CONFIGS)
        || file
            .path
            .rsplit('/')
            .next()
            .is_some_and(|name| name.starts_with(".env"))
    {
        FileKind::Config
    } else if is_binary(file.bytes) {
        FileKind::Binary
    } else if file.bytes.starts_with(b"#!") || file.is_executable {
        FileKind::Script
    } else {
        FileKind::Data
    }
}

/// Returns whether more than a tenth of the first bytes are control characters or not UTF-8. UTF-16 with a byte order mark
/// is text.
fn is_binary(bytes: &[u8]) -> bool {
    let head = bytes.get(..SNIFFED_BYTES).unwrap_or(bytes);
    if head.starts_with(&[0xFF, 0xFE]) || head.starts_with(&[0xFE, 0xFF]) {
        return false;
    }
    let odd: usize = head
        .utf8_chunks()
        .map(|chunk| {
            let controls = chunk.valid().bytes().filter(|byte| is_control(*byte)).count();
            controls + chunk.invalid().len()
        })
        .sum();
    odd * 10 > head.len()
}

const fn is_control(byte: u8) -> bool {
    byte < 0x20 && !matches!(byte, b'\t' | b'\n' | b'\r' | 0x0C | 0x1B)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(path: &str, bytes: &[u8]) -> FileKind {
        file_kind(&ScanFile {
            path,
            bytes,
            is_executable: false,
        })
    }

    #[test]
    fn kind_follows_from_path_then_content() {
        assert_eq!(kind("skill.md", b""), FileKind::SkillMd);
        assert_eq!(kind("references/SKILL.md", b""), FileKind::Document);
        assert_eq!(kind("a/B.SH", b""), FileKind::Script);
        assert_eq!(kind("run", b"#!/bin/sh\n"), FileKind::Script);
        assert_eq!(kind(".env.local", b"A=b"), FileKind::Config);
        assert_eq!(kind("notes", b"text\n"), FileKind::Data);
        assert_eq!(kind("x.bin", &[0, 1, 2, 3, 0xFF]), FileKind::Binary);
        assert_eq!(kind("x.dat", b"\xFF\xFEa\0b\0"), FileKind::Data);
    }

    #[test]
    fn control_characters_do_not_make_markdown_binary() {
        assert_eq!(kind("notes.md", &[0; 100]), FileKind::Document);
    }
}
