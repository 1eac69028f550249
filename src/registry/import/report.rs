//! The report of an import: one line for each skill, and for what is no skill but should be known.

use serde::Serialize;
use skill_scanner::{ScanReport, Severity};

use crate::ids::Digest;
use crate::registry::publish::DiagnosticLine;

/// The outcome for one folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ImportOutcome {
    /// A new skill.
    Created,
    /// A new version of an existing skill.
    Updated,
    /// The skill already has the same files.
    Unchanged,
    /// Nothing was stored; see [`Line::reason`].
    Refused,
    /// Something that is no skill was left out, such as a link in an archive or an ignored folder with skills in it.
    LeftOut,
    /// The skill left the source and is still in the registry.
    Departed,
    /// The skill left the source and was archived.
    Archived,
}

/// A finding of the scanner.
#[derive(Debug, Clone, Serialize)]
pub struct FindingLine {
    pub rule: String,
    pub severity: Severity,
    pub path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    pub reason: String,
}

/// The report on one folder.
#[derive(Debug, Clone, Serialize)]
pub struct Line {
    /// The folder relative to the source; `.` for the source itself.
    pub source: String,
    pub outcome: ImportOutcome,
    /// Slug in the registry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub skill: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
    /// Why it was refused or left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Whether `--fix` rewrote the front matter.
    pub fixed: bool,
    /// Whether the scanner's findings keep the version from being found and installed.
    pub quarantined: bool,
    /// Whether the version is the one that is installed by default.
    pub latest: bool,
    /// Deviations from the format, values that were derived, and files that were left out.
    pub notes: Vec<DiagnosticLine>,
    /// What the scanner found, without the severity `info`.
    pub findings: Vec<FindingLine>,
}

impl Line {
    pub(super) fn new(source: impl Into<String>, outcome: ImportOutcome) -> Self {
        Self {
            source: source.into(),
            outcome,
            skill: None,
            version: None,
            digest: None,
            reason: None,
            fixed: false,
            quarantined: false,
            latest: false,
            notes: Vec::new(),
            findings: Vec::new(),
        }
    }

    pub(super) fn because(
        source: impl Into<String>,
        outcome: ImportOutcome,
        reason: impl Into<String>,
    ) -> Self {
        Self {
            reason: Some(reason.into()),
            ..Self::new(source, outcome)
        }
    }
}

pub(super) fn finding_lines(scan: &ScanReport) -> Vec<FindingLine> {
    scan.findings
        .iter()
        .filter(|finding| finding.severity > Severity::Info)
        .map(|finding| FindingLine {
            rule: finding.rule.clone(),
            severity: finding.severity,
            path: finding.path.clone(),
            line: finding.line,
            reason: finding.reason.clone(),
        })
        .collect()
}
