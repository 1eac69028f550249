//! Findings of the scanner, as tools show them.

use schemars::JsonSchema;
use serde::Serialize;
use skill_scanner::Finding;

use crate::answer_size::keep_first;
use crate::registry::scans;
use crate::registry::settings::Settings;

/// The most findings in an answer.
const MAX_FINDINGS: usize = 20;
/// The most characters of them.
const MAX_CHARS: usize = 25_000;

/// A finding, shortened for an answer.
#[derive(Debug, Serialize, JsonSchema)]
pub struct FindingLine {
    rule: String,
    severity: String,
    file: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u32>,
    /// What to do.
    advice: String,
    excerpt: String,
    fingerprint: String,
}

impl FindingLine {
    /// The worst findings that are not in the tenant's baseline.
    #[must_use]
    pub fn counted(findings: &[Finding], settings: &Settings) -> Vec<Self> {
        let mut counted = scans::counted(findings, settings);
        counted.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        let mut shown: Vec<Self> = counted
            .into_iter()
            .take(MAX_FINDINGS)
            .map(|finding| Self {
                rule: finding.rule.clone(),
                severity: finding.severity.to_string(),
                file: finding.path.clone(),
                line: finding.line,
                advice: finding.advice.clone(),
                excerpt: finding.excerpt.clone(),
                fingerprint: finding.fingerprint.clone(),
            })
            .collect();
        keep_first(&mut shown, MAX_CHARS);
        shown
    }
}
