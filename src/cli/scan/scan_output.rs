//! Writes findings and rules as text, JSON or SARIF.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};
use skill_scanner::{Finding, Severity, ruleset_version, to_sarif};

use super::super::output;
use super::{Format, ScanRun, ScannedSkill};
use crate::error::CliError;

pub(super) fn rules(format: Format) -> Result<(), CliError> {
    match format {
        Format::Text => {
            let rows = skill_scanner::rules().iter().map(|rule| {
                let cells = [
                    &*rule.id,
                    rule.family.as_str(),
                    rule.severity.as_str(),
                    &*rule.title,
                ];
                cells.map(str::to_owned).to_vec()
            });
            output::table(
                &["rule", "family", "severity", "finds"],
                rows.collect(),
                "No rules.",
            )
        }
        Format::Json => {
            output::json(&json!({ "ruleset": ruleset_version(), "rules": skill_scanner::rules() }))
        }
        Format::Sarif => output::json(&to_sarif([])),
    }
}

pub(super) fn write(format: Format, run: &ScanRun) -> Result<(), CliError> {
    match format {
        Format::Text => output::line(text(run).trim_end()),
        Format::Json => output::json(&as_json(run)),
        Format::Sarif => {
            let prefixes: Vec<String> = run.skills.iter().map(prefix).collect();
            let reports = run.skills.iter().map(|skill| &skill.report);
            output::json(&to_sarif(reports.zip(prefixes.iter().map(String::as_str))))
        }
    }
}

/// What comes before the path of a file.
fn prefix(skill: &ScannedSkill) -> String {
    if skill.path == "." {
        String::new()
    } else {
        format!("{}/", skill.path)
    }
}

fn as_json(run: &ScanRun) -> Value {
    let skills = run.skills.iter().map(|skill| {
        json!({
            "path": skill.path,
            "worst": skill.report.worst,
            "findings": skill.report.findings,
            "suppressed": skill.suppressed,
            "left_out": skill.left_out,
        })
    });
    json!({
        "ruleset": ruleset_version(),
        "worst": run.skills.iter().filter_map(|skill| skill.report.worst).max(),
        "skills": skills.collect::<Vec<_>>(),
        "errors": run.errors,
    })
}

fn text(run: &ScanRun) -> String {
    let mut text = String::new();
    for skill in &run.skills {
        let prefix = visible(&prefix(skill));
        for line in &skill.left_out {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "{}: {}\n", visible(&skill.path), visible(line));
        }
        for finding in &skill.report.findings {
            let _ = writeln!(text, "{}\n", describe(&prefix, finding));
        }
    }
    text + &summary(run)
}

fn describe(prefix: &str, finding: &Finding) -> String {
    let line = finding.line.map(|line| format!(":{line}")).unwrap_or_default();
    let excerpt = match &*finding.excerpt {
        "" => String::new(),
        excerpt => format!("\n  > {excerpt}"),
    };
    format!(
        "{prefix}{}{line}: {}: {}{excerpt}\n  {}\n  {}\n  fingerprint {}",
        finding.path, finding.severity, finding.rule, finding.reason, finding.advice, finding.fingerprint
    )
}

fn summary(run: &ScanRun) -> String {
    let mut counts: BTreeMap<Severity, usize> = BTreeMap::new();
    for finding in run.skills.iter().flat_map(|skill| &skill.report.findings) {
        *counts.entry(finding.severity).or_default() += 1;
    }
    let listed: Vec<String> = counts
        .iter()
        .rev()
        .map(|(severity, count)| format!("{count} {severity}"))
        .collect();
    let findings = if listed.is_empty() {
        "none".to_owned()
    } else {
        listed.join(", ")
    };
    let suppressed: usize = run.skills.iter().map(|skill| skill.suppressed).sum();
    format!(
        "Skills: {}. Findings: {findings}. Suppressed: {suppressed}.",
        run.skills.len()
    )
}

/// Names of files may hold control characters, which must not reach the terminal.
fn visible(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
