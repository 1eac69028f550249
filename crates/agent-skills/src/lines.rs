//! Where in `SKILL.md` a deviation or an error is.

use crate::diagnostics::Diagnostic;
use crate::error::DocumentError;
use crate::text::with_line_feeds;

impl Diagnostic {
    /// The line of `SKILL.md`, from 1, or `None` for a deviation of other files. A missing value is reported at line 1.
    #[must_use]
    pub fn line(&self, skill_md: &[u8]) -> Option<usize> {
        if let Self::NotYaml { line, .. } = self {
            return Some(*line);
        }
        let text = with_line_feeds(&String::from_utf8_lossy(skill_md)).into_owned();
        if let Some(key) = self.key() {
            // `metadata.version` is the key `version` below `metadata`.
            let last = key.rsplit('.').next().unwrap_or(key);
            let line = line_of_key(&text, key).or_else(|| line_of_key(&text, last));
            return Some(line.unwrap_or(1));
        }
        if let Self::OddCharacter { character } = self {
            return text
                .lines()
                .position(|line| line.contains(*character))
                .map(|at| at + 1);
        }
        if let Self::MissingFiles { files } = self {
            let first = files.first()?;
            return text
                .lines()
                .position(|line| line.contains(first))
                .map(|at| at + 1);
        }
        self.is_in_front_matter().then_some(1)
    }

    /// The key of the front matter that the deviation is about.
    fn key(&self) -> Option<&str> {
        if let Self::DuplicateKey { key }
        | Self::HashInText { key }
        | Self::NumberForText { key }
        | Self::NotText { key } = self
        {
            return Some(key);
        }
        if let Self::KeyCase { found, .. } = self {
            return Some(found);
        }
        if let Self::UnknownKeys { keys } = self {
            return keys.first().map(String::as_str);
        }
        if matches!(
            self,
            Self::NameInvalid { .. } | Self::NameInOtherScript { .. } | Self::NameNotFolder { .. }
        ) {
            return Some("name");
        }
        if matches!(self, Self::DescriptionTooLong { .. }) {
            return Some("description");
        }
        if matches!(self, Self::CompatibilityTooLong { .. }) {
            return Some("compatibility");
        }
        matches!(self, Self::MetadataNotMapping).then_some("metadata")
    }
}

impl DocumentError {
    /// The line of `SKILL.md`, from 1.
    #[must_use]
    pub fn line(&self, skill_md: &[u8]) -> usize {
        let (Self::NotUtf8 { offset } | Self::Nul { offset }) = self else {
            return 1;
        };
        let before = skill_md.get(..*offset).unwrap_or(skill_md);
        before.iter().filter(|byte| **byte == b'\n').count() + 1
    }
}

/// The last line that begins with the key: of two equal keys, the last one counts.
fn line_of_key(text: &str, key: &str) -> Option<usize> {
    let lines = text.lines().enumerate();
    let in_front_matter = lines.take_while(|(at, line)| *at == 0 || line.trim_end() != "---");
    in_front_matter
        .filter(|(_, line)| {
            let line = line.trim_start().trim_start_matches(['"', '\'']);
            line.strip_prefix(key)
                .is_some_and(|rest| rest.trim_start_matches(['"', '\'']).trim_start().starts_with(':'))
        })
        .map(|(at, _)| at + 1)
        .last()
}

#[cfg(test)]
mod tests {
    use crate::read_document;

    /// Codes with their lines.
    fn lines(text: &str) -> Vec<(&'static str, Option<usize>)> {
        let document = read_document(text.as_bytes(), "folder").unwrap();
        let diagnostics = document.diagnostics.iter();
        diagnostics
            .map(|found| (found.code(), found.line(text.as_bytes())))
            .collect()
    }

    #[test]
    fn deviation_names_the_line_of_its_key() {
        let text = "---\nname: My Skill\ndescription: d\n\"odd\": 1\nmetadata:\n  version: 1\n---\nname: in the body\n";
        let found = lines(text);
        for expected in [
            ("name_invalid", Some(2)),
            ("unknown_keys", Some(4)),
            ("number_for_text", Some(6)),
        ] {
            assert!(found.contains(&expected), "{expected:?}: {found:?}");
        }
        let found = lines("---\ndescription: a\nname: folder\r\ndescription: b\n---\n");
        assert!(found.contains(&("duplicate_key", Some(4))), "{found:?}");
        let found = lines("just text\n");
        assert!(found.contains(&("no_front_matter", Some(1))), "{found:?}");
    }

    #[test]
    fn syntax_error_names_its_line() {
        let found = lines("---\nname: folder\ndescription: a: b: c\n---\nx\n");
        assert!(found.contains(&("not_yaml", Some(3))), "{found:?}");
    }

    #[test]
    fn error_names_the_line_of_its_byte() {
        for text in [&b"---\nname: a\n\xFF\n"[..], b"---\nname: a\n\0\n"] {
            assert_eq!(read_document(text, "folder").unwrap_err().line(text), 3);
        }
        assert_eq!(read_document(b"", "folder").unwrap_err().line(b""), 1);
    }
}
