//! What a skill breaks of the format, and what was taken instead.

use std::fmt;

use crate::Slug;

use super::text::quoted;

/// How much a deviation matters.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// The skill is within the format, but some reader of skills stumbles over it.
    Warning,
    /// The skill breaks a rule of the format, and something was derived in its place.
    Error,
}

/// One deviation from the Agent Skills format.
///
/// Shown, it is a sentence that also says what was done about it. Texts out of the skill are quoted, escaped
/// and cut short in it, because they come from strangers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Diagnostic {
    /// The file begins with a byte order mark.
    ByteOrderMark,
    /// Blank lines come before the front matter.
    LeadingBlankLines,
    /// There is no front matter.
    NoFrontMatter,
    /// The front matter has no `---` line above it.
    Unopened,
    /// The front matter has no `---` line below it.
    Unclosed,
    /// The front matter is not YAML; its keys were read line by line.
    NotYaml {
        /// The line of the file at which YAML ends, counted from 1.
        line: usize,
        /// What the YAML parser says.
        reason: String,
    },
    /// A key is there twice; the last one counts.
    DuplicateKey {
        /// The key.
        key: String,
    },
    /// Lists or mappings in brackets, which the reference validator refuses.
    FlowStyle,
    /// `---` inside the front matter, where the reference validator takes it for the end.
    DashesInside,
    /// A tab, control character or Unicode line end in the front matter, which YAML 1.2 allows and many readers
    /// refuse or take for something else.
    OddCharacter {
        /// The first such character.
        character: char,
    },
    /// There is no name.
    NameMissing {
        /// The name taken instead.
        derived: Slug,
    },
    /// The name is not a slug.
    NameInvalid {
        /// The name as it is written.
        name: String,
        /// The name taken instead.
        derived: Slug,
    },
    /// The name is not the folder's.
    NameNotFolder {
        /// The name, which counts.
        name: Slug,
        /// The folder.
        folder: String,
    },
    /// There is no description; one was taken from the body.
    DescriptionMissing,
    /// The description has more than 1024 characters; it was shortened at a word.
    DescriptionTooLong {
        /// Its length in characters.
        chars: usize,
    },
    /// The compatibility has more than 500 characters.
    CompatibilityTooLong {
        /// Its length in characters.
        chars: usize,
    },
    /// A key whose value has to be text holds a number, a truth value or a date.
    NumberForText {
        /// The key.
        key: String,
    },
    /// A key whose value has to be text holds a list, a mapping or nothing.
    NotText {
        /// The key.
        key: String,
    },
    /// `metadata` is not a mapping.
    MetadataNotMapping,
    /// Keys that the format does not know. They are kept.
    UnknownKeys {
        /// The keys, sorted.
        keys: Vec<String>,
    },
    /// `SKILL.md` is spelled with other capitals; it is stored as `SKILL.md`.
    SkillMdCase {
        /// The name on disk.
        found: String,
    },
    /// A file or folder that belongs to another program was left out.
    LeftOut {
        /// Its path inside the skill.
        path: String,
    },
}

impl Diagnostic {
    /// How much the deviation matters.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::ByteOrderMark
            | Self::FlowStyle
            | Self::DashesInside
            | Self::OddCharacter { .. }
            | Self::NameNotFolder { .. }
            | Self::NumberForText { .. }
            | Self::UnknownKeys { .. }
            | Self::LeftOut { .. } => Severity::Warning,
            Self::LeadingBlankLines
            | Self::NoFrontMatter
            | Self::Unopened
            | Self::Unclosed
            | Self::NotYaml { .. }
            | Self::DuplicateKey { .. }
            | Self::NameMissing { .. }
            | Self::NameInvalid { .. }
            | Self::DescriptionMissing
            | Self::DescriptionTooLong { .. }
            | Self::CompatibilityTooLong { .. }
            | Self::NotText { .. }
            | Self::MetadataNotMapping
            | Self::SkillMdCase { .. } => Severity::Error,
        }
    }

    /// A short name for programs, which stays the same from version to version.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte_order_mark",
            Self::LeadingBlankLines => "leading_blank_lines",
            Self::NoFrontMatter => "no_front_matter",
            Self::Unopened => "front_matter_unopened",
            Self::Unclosed => "front_matter_unclosed",
            Self::NotYaml { .. } => "not_yaml",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::FlowStyle => "flow_style",
            Self::DashesInside => "dashes_inside",
            Self::OddCharacter { .. } => "odd_character",
            Self::NameMissing { .. } => "name_missing",
            Self::NameInvalid { .. } => "name_invalid",
            Self::NameNotFolder { .. } => "name_not_folder",
            Self::DescriptionMissing => "description_missing",
            Self::DescriptionTooLong { .. } => "description_too_long",
            Self::CompatibilityTooLong { .. } => "compatibility_too_long",
            Self::NumberForText { .. } => "number_for_text",
            Self::NotText { .. } => "not_text",
            Self::MetadataNotMapping => "metadata_not_mapping",
            Self::UnknownKeys { .. } => "unknown_keys",
            Self::SkillMdCase { .. } => "skill_md_case",
            Self::LeftOut { .. } => "left_out",
        }
    }

    /// Whether rewriting the front matter removes the deviation: true but for those of the folder.
    #[must_use]
    pub const fn is_in_front_matter(&self) -> bool {
        !matches!(
            self,
            Self::NameNotFolder { .. } | Self::SkillMdCase { .. } | Self::LeftOut { .. }
        )
    }
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ByteOrderMark => f.write_str("the file begins with a byte order mark; it was passed over"),
            Self::LeadingBlankLines => f.write_str("blank lines come before the front matter; they were passed over"),
            Self::NoFrontMatter => f.write_str("there is no front matter; the whole file was taken as the body"),
            Self::Unopened => f.write_str("the front matter has no \"---\" line above it; it was taken all the same"),
            Self::Unclosed => {
                f.write_str("the front matter has no \"---\" line below it; it was taken to end where its keys do")
            }
            Self::NotYaml { line, reason } => {
                write!(f, "the front matter is not YAML at line {line} ({}); its keys were read one by one", quoted(reason))
            }
            Self::DuplicateKey { key } => write!(f, "the key {} is there twice; the last one counts", quoted(key)),
            Self::FlowStyle => {
                f.write_str("the front matter has brackets ([] or {}), which the reference validator refuses")
            }
            Self::DashesInside => {
                f.write_str("the front matter has \"---\" inside a value, where the reference validator takes it for the end")
            }
            Self::OddCharacter { character } => {
                write!(f, "the front matter has the character U+{:04X}, over which many readers of YAML stumble", u32::from(*character))
            }
            Self::NameMissing { derived } => write!(f, "there is no name; {derived} was taken"),
            Self::NameInvalid { name, derived } => write!(
                f,
                "the name {} is not 1 to 64 lowercase letters, digits and single hyphens; {derived} was taken",
                quoted(name)
            ),
            Self::NameNotFolder { name, folder } => {
                write!(f, "the name {name} is not the folder's, {}; the name counts", quoted(folder))
            }
            Self::DescriptionMissing => f.write_str("there is no description; the body's first words were taken"),
            Self::DescriptionTooLong { chars } => {
                write!(f, "the description has {chars} characters of at most 1024; the catalog has its beginning")
            }
            Self::CompatibilityTooLong { chars } => {
                write!(f, "the compatibility has {chars} characters of at most 500")
            }
            Self::NumberForText { key } => {
                write!(f, "the value of {} has to be text: put it in quotes; it was taken as it is written", quoted(key))
            }
            Self::NotText { key } => write!(f, "the value of {} has to be text, not a list, a mapping or nothing", quoted(key)),
            Self::MetadataNotMapping => f.write_str("the value of \"metadata\" has to be a mapping of text to text"),
            Self::UnknownKeys { keys } => {
                f.write_str("the format does not know the keys ")?;
                for (at, key) in keys.iter().take(MAX_KEYS_SHOWN).enumerate() {
                    write!(f, "{}{}", if at == 0 { "" } else { ", " }, quoted(key))?;
                }
                if keys.len() > MAX_KEYS_SHOWN {
                    write!(f, " and {} more", keys.len() - MAX_KEYS_SHOWN)?;
                }
                f.write_str("; they were kept")
            }
            Self::SkillMdCase { found } => write!(f, "the file {} is called SKILL.md; it was stored so", quoted(found)),
            Self::LeftOut { path } => write!(f, "{} is not part of a skill; it was left out", quoted(path)),
        }
    }
}

/// How many unknown keys a sentence lists.
const MAX_KEYS_SHOWN: usize = 12;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sentence_shows_a_strangers_text_escaped_and_cut() {
        let key = format!("a\u{202E}\u{1B}[31m{}", "x".repeat(500));
        let sentence = Diagnostic::DuplicateKey { key }.to_string();
        assert!(
            sentence.starts_with("the key \"a\\u{202e}\\u{1b}[31mxx"),
            "{sentence}"
        );
        assert!(sentence.chars().count() < 200, "{sentence}");
    }

    #[test]
    fn a_long_list_of_keys_is_cut() {
        let keys = (10..50).map(|n| n.to_string()).collect();
        let sentence = Diagnostic::UnknownKeys { keys }.to_string();
        assert!(sentence.contains("\"21\" and 28 more"), "{sentence}");
    }
}
