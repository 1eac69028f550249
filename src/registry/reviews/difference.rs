//! The difference between the files of two versions, for reviewers.

use similar::TextDiff;

use crate::registry::versions::FileContents;

/// The longest text that is compared line by line, in bytes. Longer files are only named.
const MAX_COMPARED_BYTES: usize = 256 * 1024;

/// The files that differ between two versions.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Difference {
    pub added: Vec<String>,
    pub removed: Vec<String>,
    pub changed: Vec<String>,
    /// Unified difference of the texts, cut to the given length.
    pub text: String,
    /// Whether `text` was cut.
    pub is_cut: bool,
}

/// Compares two versions; `before` is empty for the first one. `text` has at most `max_chars` characters.
#[must_use]
pub fn difference(before: &[FileContents], after: &[FileContents], max_chars: usize) -> Difference {
    let mut result = Difference::default();
    let find = |files: &'_ [FileContents], path: &str| files.iter().position(|file| file.entry.path == path);
    for file in after {
        let path = &file.entry.path;
        match find(before, path).and_then(|index| before.get(index)) {
            None => {
                result.added.push(path.clone());
                append(&mut result, path, b"", &file.bytes, max_chars);
            }
            Some(old) if old.entry.digest != file.entry.digest => {
                result.changed.push(path.clone());
                append(&mut result, path, &old.bytes, &file.bytes, max_chars);
            }
            Some(old) if old.entry.executable != file.entry.executable => result.changed.push(path.clone()),
            Some(_) => {}
        }
    }
    for file in before {
        if find(after, &file.entry.path).is_none() {
            result.removed.push(file.entry.path.clone());
        }
    }
    result
}

fn append(result: &mut Difference, path: &str, before: &[u8], after: &[u8], max_chars: usize) {
    let used = result.text.chars().count();
    if used >= max_chars {
        result.is_cut = true;
        return;
    }
    let part = match (std::str::from_utf8(before), std::str::from_utf8(after)) {
        (Ok(before), Ok(after)) if before.len().max(after.len()) <= MAX_COMPARED_BYTES => {
            let diff = TextDiff::configure()
                .timeout(std::time::Duration::from_millis(200))
                .diff_lines(before, after);
            diff.unified_diff().header(path, path).to_string()
        }
        _ => format!(
            "{path}: {} bytes before, {} bytes now; not shown\n",
            before.len(),
            after.len()
        ),
    };
    let rest = max_chars - used;
    if part.chars().count() > rest {
        result.is_cut = true;
        result.text.extend(part.chars().take(rest));
    } else {
        result.text.push_str(&part);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;
    use crate::registry::versions::FileEntry;

    fn file(path: &str, text: &str) -> FileContents {
        FileContents {
            entry: FileEntry {
                path: path.to_owned(),
                digest: Digest::of(text.as_bytes()),
                size: 0,
                executable: false,
            },
            bytes: text.as_bytes().to_vec(),
        }
    }

    #[test]
    fn files_are_compared_by_path_and_text() {
        let before = [
            file("SKILL.md", "a\nb\nc\n"),
            file("old.md", "x"),
            file("same.md", "s"),
        ];
        let after = [
            file("SKILL.md", "a\nB\nc\n"),
            file("new.md", "n\n"),
            file("same.md", "s"),
        ];
        let found = difference(&before, &after, 10_000);
        assert_eq!(
            (found.added, found.removed, found.changed, found.is_cut),
            (
                vec!["new.md".to_owned()],
                vec!["old.md".to_owned()],
                vec!["SKILL.md".to_owned()],
                false
            )
        );
        assert!(found.text.contains("-b\n+B\n"), "{}", found.text);
        assert!(found.text.contains("+n\n"), "{}", found.text);
    }

    #[test]
    fn long_difference_is_cut_and_said_so() {
        let after = [file("a", &"line\n".repeat(1_000)), file("b", "b\n")];
        let found = difference(&[], &after, 100);
        assert_eq!(
            (found.text.chars().count(), found.is_cut, found.added.len()),
            (100, true, 2)
        );
    }
}
