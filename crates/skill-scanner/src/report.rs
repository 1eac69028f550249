//! What a scan returns.

use serde::{Deserialize, Serialize};

use crate::severity::Severity;

/// Something in a skill that a rule matched.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The id of the rule, see [`rules`](crate::rules).
    pub rule: String,
    /// The rule's severity, lowered where the text describes an attack instead of making one.
    pub severity: Severity,
    /// Path of the file as given to [`scan`](crate::scan), control characters escaped.
    pub path: String,
    /// The line on which the match begins, from 1. `None` if the finding is about the whole file.
    pub line: Option<u32>,
    /// The matched text with what is around it, at most 160 characters on one line. Control, bidirectional and invisible
    /// characters are escaped (`\u{202e}`), secrets are masked. Empty if there is nothing to show.
    pub excerpt: String,
    /// Why this is a finding.
    pub reason: String,
    /// What the author or reviewer can do.
    pub advice: String,
    /// 32 hexadecimal digits: a hash of rule, path and matched line without white space. It stays the same when other lines
    /// are added or removed, and differs when the matched line changes.
    pub fingerprint: String,
}

/// The result of a scan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScanReport {
    /// The version of the rules that were used, see [`ruleset_version`](crate::ruleset_version).
    pub ruleset: String,
    /// Ordered by path, line and rule. No two have the same fingerprint.
    pub findings: Vec<Finding>,
    /// The severity of the worst finding.
    pub worst: Option<Severity>,
}

impl ScanReport {
    /// Returns whether a finding is as bad as `threshold` or worse.
    #[must_use]
    pub fn reaches(&self, threshold: Severity) -> bool {
        self.worst.is_some_and(|worst| worst >= threshold)
    }

    /// Removes the findings for which `is_suppressed` returns `true`, and returns how many it removed.
    pub fn suppress(&mut self, mut is_suppressed: impl FnMut(&Finding) -> bool) -> usize {
        let before = self.findings.len();
        self.findings.retain(|finding| !is_suppressed(finding));
        self.worst = self.findings.iter().map(|finding| finding.severity).max();
        before - self.findings.len()
    }
}
