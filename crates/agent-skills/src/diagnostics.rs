//! Diagnostics: deviations of a skill from the format.

use crate::exclusion::Exclusion;
use crate::limits::{MAX_COMPATIBILITY_CHARS, MAX_DESCRIPTION_CHARS};
use crate::slug::Slug;
use crate::text::quoted;

/// Maximum number of unknown keys in a message.
const MAX_KEYS_SHOWN: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// Allowed by the format, but some programs that read skills may fail.
    Warning,
    /// Breaks a rule of the format. A replacement value was derived.
    Error,
}

/// A deviation from the Agent Skills format.
///
/// `Display` gives one sentence: the problem, how it was handled, and how to fix it. Texts from the skill are untrusted,
/// so they are quoted, escaped and cut.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Diagnostic {
    #[error("the file starts with a byte order mark, which was ignored: save it as UTF-8 without BOM")]
    ByteOrderMark,
    #[error("there are blank lines before the front matter, which were ignored: remove them")]
    LeadingBlankLines,
    #[error(
        "there is no front matter; the whole file was read as the body: add \"---\" lines with name and description between them at the top"
    )]
    NoFrontMatter,
    #[error("the \"---\" line before the front matter is missing; the keys were read anyway: add the line")]
    FrontMatterUnopened,
    #[error(
        "the \"---\" line after the front matter is missing; the front matter was read up to its last key: add the line"
    )]
    FrontMatterUnclosed,
    #[error(
        "the front matter is not YAML at line {line} ({}); its keys were read line by line: put the value in quotes",
        quoted(.reason)
    )]
    NotYaml {
        /// Line of the file with the syntax error, from 1.
        line: usize,
        /// Message of the YAML parser.
        reason: String,
    },
    #[error(
        "the key {} occurs more than once; the last value was used: remove the others",
        quoted(.key)
    )]
    DuplicateKey { key: String },
    #[error(
        "the front matter contains lists or mappings in brackets ([] or {{}}), which the reference validator rejects: write one item per line"
    )]
    FlowStyle,
    #[error(
        "a value in the front matter contains \"---\", which the reference validator reads as the end of the front matter: remove it"
    )]
    DashesInside,
    /// A tab, control character or Unicode line end, which YAML 1.2 allows but other parsers reject or misread.
    #[error(
        "the front matter contains the character {}, which some YAML parsers reject: replace it",
        code_point(.character)
    )]
    OddCharacter {
        /// The first such character.
        character: char,
    },
    /// A value that YAML ends at a `#` after white space.
    #[error(
        "the value of {} contains \" #\", which YAML reads as the start of a comment; the whole text was used: put the value in quotes",
        quoted(.key)
    )]
    HashInText { key: String },
    #[error(
        "the lines of the front matter end with carriage returns only; they were read as line ends: save it with line feeds"
    )]
    CarriageReturns,
    #[error("the key {} was read as \"{key}\": write it in lower case", quoted(.found))]
    KeyCase {
        /// The key as written.
        found: String,
        /// The key that the format defines.
        key: &'static str,
    },
    #[error("the name is missing; {derived} was used: add \"name: {derived}\"")]
    NameMissing { derived: Slug },
    #[error(
        "the name {} is invalid; {derived} was used: use 1 to 64 lowercase letters, digits and single hyphens",
        quoted(.name)
    )]
    NameInvalid { name: String, derived: Slug },
    /// A name that the reference validator accepts, but programs that follow the letters a to z of the specification
    /// do not.
    #[error(
        "the name {} has letters other than a to z, which some assistants reject; its slug is {derived}: nothing needs to be done if your assistants accept it",
        quoted(.name)
    )]
    NameInOtherScript { name: String, derived: Slug },
    #[error(
        "the name {name} differs from the folder's name {}; the name was used: rename one of them",
        quoted(.folder)
    )]
    NameNotFolder { name: Slug, folder: String },
    #[error("the description is missing; the beginning of the body was used: add a description")]
    DescriptionMissing,
    #[error(
        "the description has {chars} characters (limit: {MAX_DESCRIPTION_CHARS}); catalogs show its beginning: shorten it"
    )]
    DescriptionTooLong { chars: usize },
    #[error("the compatibility text has {chars} characters (limit: {MAX_COMPATIBILITY_CHARS}): shorten it")]
    CompatibilityTooLong { chars: usize },
    #[error(
        "the value of {} must be text, but is a number or boolean; it was used as written: put it in quotes",
        quoted(.key)
    )]
    NumberForText { key: String },
    #[error(
        "the value of {} must be text, but is a list, a mapping or empty: write it as text",
        quoted(.key)
    )]
    NotText { key: String },
    #[error(
        "the value of \"metadata\" must be a mapping of text to text: write one \"key: value\" per line below it"
    )]
    MetadataNotMapping,
    #[error(
        "the format does not define the keys {}; they were kept: move them below \"metadata\"",
        quoted_list(.keys)
    )]
    UnknownKeys {
        /// Sorted.
        keys: Vec<String>,
    },
    #[error("the file {} was read as SKILL.md: rename it", quoted(.found))]
    SkillMdCase {
        /// The file name on disk.
        found: String,
    },
    /// A file or folder of another program.
    #[error("{} is not part of a skill and was left out", quoted(.path))]
    LeftOut {
        /// Path relative to the skill's folder.
        path: String,
    },
    /// A file or folder that does not belong into a version.
    #[error("{}{} was left out: {reason}", quoted(.path), file_count(.files))]
    Excluded {
        /// Path relative to the skill's folder; ends with `/` for a folder.
        path: String,
        reason: Exclusion,
        /// Number of files in the folder, at most 10,000.
        files: Option<usize>,
    },
    #[error("{paths} more files and folders were left out")]
    MoreLeftOut { paths: usize },
    /// A manifest of a plugin, or a lock file of an installer.
    #[error("the file {} was not used: {reason}", quoted(.path))]
    UnusableManifest {
        /// Path relative to the source.
        path: String,
        reason: String,
    },
    /// See [`missing_files`](crate::missing_files).
    #[error(
        "SKILL.md names files that are not in the skill ({}): {}; add them, or remove the references",
        .files.len(),
        quoted_list(.files)
    )]
    MissingFiles {
        /// Paths relative to the skill's folder, in the order of the text.
        files: Vec<String>,
    },
    /// Folders with a `SKILL.md` of their own.
    #[error(
        "separate skills inside ({}), whose files are no part of this one: {}",
        .folders.len(),
        quoted_list(.folders)
    )]
    NestedSkills {
        /// Paths relative to the skill's folder, sorted.
        folders: Vec<String>,
    },
}

impl Diagnostic {
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self {
            Self::ByteOrderMark
            | Self::FlowStyle
            | Self::DashesInside
            | Self::OddCharacter { .. }
            | Self::HashInText { .. }
            | Self::CarriageReturns
            | Self::NameInOtherScript { .. }
            | Self::NameNotFolder { .. }
            | Self::NumberForText { .. }
            | Self::UnknownKeys { .. }
            | Self::LeftOut { .. }
            | Self::Excluded { .. }
            | Self::MoreLeftOut { .. }
            | Self::UnusableManifest { .. }
            | Self::MissingFiles { .. }
            | Self::NestedSkills { .. } => Severity::Warning,
            Self::LeadingBlankLines
            | Self::NoFrontMatter
            | Self::FrontMatterUnopened
            | Self::FrontMatterUnclosed
            | Self::NotYaml { .. }
            | Self::DuplicateKey { .. }
            | Self::KeyCase { .. }
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

    /// A stable identifier for programs.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            Self::ByteOrderMark => "byte_order_mark",
            Self::LeadingBlankLines => "leading_blank_lines",
            Self::NoFrontMatter => "no_front_matter",
            Self::FrontMatterUnopened => "front_matter_unopened",
            Self::FrontMatterUnclosed => "front_matter_unclosed",
            Self::NotYaml { .. } => "not_yaml",
            Self::DuplicateKey { .. } => "duplicate_key",
            Self::FlowStyle => "flow_style",
            Self::DashesInside => "dashes_inside",
            Self::OddCharacter { .. } => "odd_character",
            Self::HashInText { .. } => "hash_in_text",
            Self::CarriageReturns => "carriage_returns",
            Self::KeyCase { .. } => "key_case",
            Self::NameInOtherScript { .. } => "name_in_other_script",
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
            Self::Excluded { reason, .. } => reason.code(),
            Self::MoreLeftOut { .. } => "more_left_out",
            Self::UnusableManifest { .. } => "unusable_manifest",
            Self::MissingFiles { .. } => "missing_files",
            Self::NestedSkills { .. } => "nested_skills",
        }
    }

    /// Whether a repair of the front matter removes the deviation. `false` for deviations of the folder.
    pub(crate) const fn is_in_front_matter(&self) -> bool {
        !matches!(
            self,
            Self::NameInOtherScript { .. }
                | Self::NameNotFolder { .. }
                | Self::SkillMdCase { .. }
                | Self::LeftOut { .. }
                | Self::Excluded { .. }
                | Self::MoreLeftOut { .. }
                | Self::UnusableManifest { .. }
                | Self::MissingFiles { .. }
                | Self::NestedSkills { .. }
        )
    }
}

fn file_count(files: &Option<usize>) -> String {
    files.map_or_else(String::new, |files| {
        format!(" ({files} {})", if files == 1 { "file" } else { "files" })
    })
}

fn code_point(c: &char) -> String {
    format!("U+{:04X}", u32::from(*c))
}

fn quoted_list(keys: &[String]) -> String {
    let shown: Vec<String> = keys.iter().take(MAX_KEYS_SHOWN).map(|key| quoted(key)).collect();
    let list = shown.join(", ");
    if keys.len() > shown.len() {
        format!("{list} and {} more", keys.len() - shown.len())
    } else {
        list
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn message_escapes_and_cuts_text_of_the_skill() {
        let key = format!("a\u{202E}\u{1B}[31m{}", "x".repeat(500));
        let message = Diagnostic::DuplicateKey { key }.to_string();
        assert!(
            message.starts_with("the key \"a\\u{202e}\\u{1b}[31mxx"),
            "{message}"
        );
        assert!(message.chars().count() < 200, "{message}");
    }

    #[test]
    fn message_cuts_long_list_of_keys() {
        let keys = (10..50).map(|n| n.to_string()).collect();
        let message = Diagnostic::UnknownKeys { keys }.to_string();
        assert!(message.contains("\"21\" and 28 more"), "{message}");
    }
}
