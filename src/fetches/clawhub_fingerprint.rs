//! The fingerprint by which the ClawHub client recognises an installed version: the SHA-256 of the lines `path:sha256`, in the
//! order of JavaScript's `localeCompare`, without files that have a name with a leading dot in their path.

use std::cmp::Ordering;

use crate::ids::Digest;
use crate::registry::versions::FileEntry;

/// ASCII without letters and digits in the order of the root collation (CLDR).
const PUNCTUATION: &str = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$";

/// 64 hexadecimal digits. `None` if a path has characters beyond ASCII, whose order depends on the client's language.
pub(super) fn fingerprint(files: &[FileEntry]) -> Option<String> {
    let has_dot = |path: &str| path.split('/').any(|segment| segment.starts_with('.'));
    let mut lines = Vec::new();
    for file in files.iter().filter(|file| !has_dot(&file.path)) {
        let keys: Option<Vec<(usize, bool)>> = file.path.chars().map(key).collect();
        lines.push((keys?, file));
    }
    lines.sort_by(|(a, _), (b, _)| compare(a, b));
    let lines: Vec<String> = lines
        .iter()
        .map(|(_, file)| format!("{}:{}", file.path, hex(file.digest)))
        .collect();
    Some(hex(Digest::of(lines.join("\n").as_bytes())))
}

fn hex(digest: Digest) -> String {
    digest.to_string().trim_start_matches("sha256:").to_owned()
}

/// The place of a character, and whether it is a capital.
fn key(c: char) -> Option<(usize, bool)> {
    let place = |c: char| usize::try_from(u32::from(c)).ok();
    match c {
        '0'..='9' | 'a'..='z' => Some((PUNCTUATION.len() + place(c)?, false)),
        'A'..='Z' => Some((PUNCTUATION.len() + place(c.to_ascii_lowercase())?, true)),
        ' ' => Some((0, false)),
        _ => PUNCTUATION.find(c).map(|at| (at + 1, false)),
    }
}

/// By the characters alone; only then small letters before capitals.
fn compare(a: &[(usize, bool)], b: &[(usize, bool)]) -> Ordering {
    let primary = a
        .iter()
        .map(|(place, _)| place)
        .cmp(b.iter().map(|(place, _)| place));
    primary.then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_in_the_order_of_locale_compare() {
        // Written by Node.js 20 with `sort((a, b) => a.localeCompare(b))`.
        let expected =
            "a_b a-b a.b a/B A/b a1 a10 a2 ab aB Ab data/a.bin readme README scripts/run.sh SKILL.md";
        let keys = |text: &str| -> Vec<_> { text.chars().map(|c| key(c).unwrap()).collect() };
        let mut paths: Vec<&str> = expected.split(' ').rev().collect();
        paths.sort_by(|a, b| compare(&keys(a), &keys(b)));
        assert_eq!(paths.join(" "), expected);
        let all: String = "_-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789aAbBcCdDeEfFgGhHiIjJkKlLmMnNoOpPqQrRsStTuUvVwWxXyYzZ".into();
        let mut sorted: Vec<char> = all.chars().rev().collect();
        sorted.sort_by_key(|c| key(*c));
        assert_eq!(sorted.into_iter().collect::<String>(), all);
        assert_eq!(key('é'), None);
    }

    #[test]
    fn fingerprint_leaves_hidden_files_out() {
        let entry = |path: &str| FileEntry {
            path: path.to_owned(),
            digest: Digest::of(path.as_bytes()),
            size: 1,
            executable: false,
        };
        let print = fingerprint(&[entry("SKILL.md"), entry("data/a")]).unwrap();
        let hidden = [
            entry(".env"),
            entry("SKILL.md"),
            entry("data/.x/b"),
            entry("data/a"),
        ];
        assert_eq!(fingerprint(&hidden).as_ref(), Some(&print));
        let line = |path: &str| format!("{path}:{}", hex(Digest::of(path.as_bytes())));
        let lines = format!("{}\n{}", line("data/a"), line("SKILL.md"));
        assert_eq!(print, hex(Digest::of(lines.as_bytes())));
        assert_eq!(fingerprint(&[entry("é")]), None);
    }
}
