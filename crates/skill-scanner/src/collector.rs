//! Keeps findings within the limits: the first of each rule and severity, and of all together the worst.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet, HashMap};

use crate::excerpt::{escaped, fingerprint};
use crate::options::ScanOptions;
use crate::report::Finding;
use crate::rule::Rule;
use crate::severity::Severity;

/// Maximum length of a path in a finding, in characters.
const MAX_PATH_CHARS: usize = 1024;

/// A match, before it is a finding.
pub(crate) struct Match<'a> {
    /// Index of the rule.
    pub(crate) rule: usize,
    pub(crate) severity: Severity,
    pub(crate) path: &'a str,
    pub(crate) line: Option<u32>,
    pub(crate) excerpt: String,
    /// What the fingerprint is made of.
    pub(crate) matched: &'a str,
}

pub(crate) struct Collector<'a> {
    rules: &'a [Rule],
    options: &'a ScanOptions,
    findings: Vec<Finding>,
    /// Index in `findings` by fingerprint.
    by_fingerprint: HashMap<String, usize>,
    /// How many findings of a rule and severity were kept. Counted for each severity, so that many harmless matches cannot push
    /// a bad one out.
    kept: BTreeMap<(usize, Severity), usize>,
    /// Rules of which a finding was dropped.
    dropped: BTreeSet<usize>,
}

impl<'a> Collector<'a> {
    pub(crate) fn new(rules: &'a [Rule], options: &'a ScanOptions) -> Self {
        Self {
            rules,
            options,
            findings: Vec::new(),
            by_fingerprint: HashMap::new(),
            kept: BTreeMap::new(),
            dropped: BTreeSet::new(),
        }
    }

    pub(crate) fn add(&mut self, found: Match<'_>) {
        let Some(rule) = self.rules.get(found.rule) else {
            return;
        };
        let fingerprint = fingerprint(&rule.id, found.path, found.matched);
        let same = self
            .by_fingerprint
            .get(&fingerprint)
            .and_then(|index| self.findings.get_mut(*index));
        if let Some(same) = same {
            same.severity = same.severity.max(found.severity);
            return;
        }
        let kept = self.kept.entry((found.rule, found.severity)).or_default();
        if *kept >= self.options.max_findings_per_rule {
            self.dropped.insert(found.rule);
            return;
        }
        *kept += 1;
        self.by_fingerprint
            .insert(fingerprint.clone(), self.findings.len());
        self.findings.push(Finding {
            rule: rule.id.clone(),
            severity: found.severity,
            path: shown_path(found.path),
            line: found.line,
            excerpt: found.excerpt,
            reason: rule.reason.clone(),
            advice: rule.advice.clone(),
            fingerprint,
        });
    }

    /// Keeps the worst findings, and returns whether any was left out because of a limit.
    pub(crate) fn cut(&mut self) -> bool {
        self.findings
            .sort_by(|a, b| b.severity.cmp(&a.severity).then_with(|| by_place(a, b)));
        let is_over = self.findings.len() > self.options.max_findings;
        self.findings.truncate(self.options.max_findings);
        self.by_fingerprint.clear();
        is_over || !self.dropped.is_empty()
    }

    /// The findings, ordered by path, line and rule.
    pub(crate) fn finish(self) -> Vec<Finding> {
        let mut findings = self.findings;
        findings.sort_by(by_place);
        findings
    }
}

/// `SKILL.md` first, then by path, line, rule.
fn by_place(a: &Finding, b: &Finding) -> Ordering {
    let is_other = |finding: &Finding| finding.path != "SKILL.md";
    (is_other(a).cmp(&is_other(b)))
        .then_with(|| a.path.cmp(&b.path))
        .then_with(|| a.line.cmp(&b.line))
        .then_with(|| a.rule.cmp(&b.rule))
        .then_with(|| a.fingerprint.cmp(&b.fingerprint))
}

fn shown_path(path: &str) -> String {
    path.chars().take(MAX_PATH_CHARS).map(escaped).collect()
}
