//! The rules as they are written in `rules/*.toml`.

use serde::Deserialize;

use crate::checks::Check;
use crate::file_kind::FileKind;
use crate::markdown::Part;
use crate::rule::{Example, Family};
use crate::severity::Severity;

/// One file of rules.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleFile {
    pub(crate) family: Family,
    #[serde(rename = "rule")]
    pub(crate) rules: Vec<RuleSource>,
}

/// How far from a match of `pattern` the pattern `with` may match.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Within {
    /// In the same paragraph or code without a blank line.
    #[default]
    Block,
    /// Anywhere in the file.
    File,
}

/// What words that describe an attack do to a finding.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Description {
    /// Two severities lower if they are near, one if the skill is about security.
    #[default]
    Lowers,
    /// The same, and a quotation mark before the match counts as such a word.
    QuotesToo,
    /// Nothing: the match is harmful as such.
    Ignored,
}

/// One rule. A rule has a `pattern`, a `check`, or a `path` alone.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RuleSource {
    pub(crate) id: String,
    pub(crate) title: String,
    pub(crate) severity: Severity,
    /// The severity in files that are not scripts, if it is another one.
    pub(crate) document_severity: Option<Severity>,
    pub(crate) reason: String,
    pub(crate) advice: String,
    /// What a block of text must match.
    pub(crate) pattern: Option<String>,
    /// What the text must match too.
    pub(crate) with: Option<String>,
    #[serde(default)]
    pub(crate) within: Within,
    /// A match whose lines match this is no finding.
    pub(crate) unless: Option<String>,
    /// What the path must match.
    pub(crate) path: Option<String>,
    /// Kinds of files; all that are text if empty.
    #[serde(default)]
    pub(crate) files: Vec<FileKind>,
    /// Parts of a Markdown file; all if empty.
    #[serde(default)]
    pub(crate) parts: Vec<Part>,
    /// A check in code, for what a pattern cannot express.
    pub(crate) check: Option<Check>,
    #[serde(default)]
    pub(crate) description: Description,
    /// Whether the match is a secret, which the excerpt must not show.
    #[serde(default)]
    pub(crate) is_secret: bool,
    pub(crate) positive: Example,
    pub(crate) negative: Example,
}
