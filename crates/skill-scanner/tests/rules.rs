//! Every rule finds its positive example, at its severity, and not its negative one.

use skill_scanner::{Example, Family, Rule, ScanFile, ScanOptions, ScanReport, Severity, rules, scan};

/// The limits that make the examples of the family `coverage` exceed one.
fn options(rule: &Rule) -> ScanOptions {
    let mut options = ScanOptions::default();
    match &*rule.id {
        "coverage-file-too-large" => options.max_file_bytes = 32,
        "coverage-skill-too-large" => options.max_total_bytes = 32,
        "coverage-too-many-findings" => options.max_findings = 0,
        _ => {}
    }
    options
}

fn scanned(rule: &Rule, example: &Example) -> ScanReport {
    let file = ScanFile {
        path: &example.path,
        bytes: example.text.as_bytes(),
        is_executable: example.is_executable,
    };
    scan(&[file], &options(rule))
}

#[test]
fn positive_example_is_found_by_its_rule_only() {
    let mut wrong = Vec::new();
    for rule in rules() {
        let found: Vec<(String, Severity)> = scanned(rule, &rule.positive)
            .findings
            .into_iter()
            .map(|finding| (finding.rule, finding.severity))
            .collect();
        if found != [(rule.id.clone(), rule.severity)] {
            wrong.push(format!("{} {}: {found:?}", rule.id, rule.severity));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn negative_example_is_not_found_by_its_rule() {
    let wrong: Vec<&str> = rules()
        .iter()
        .filter(|rule| {
            scanned(rule, &rule.negative)
                .findings
                .iter()
                .any(|finding| finding.rule == rule.id)
        })
        .map(|rule| &*rule.id)
        .collect();
    assert!(wrong.is_empty(), "{wrong:?}");
}

#[test]
fn examples_are_short() {
    for rule in rules() {
        for example in [&rule.positive, &rule.negative] {
            assert!(example.text.len() <= 400, "{}", rule.id);
        }
    }
}

#[test]
fn every_family_has_at_least_three_rules() {
    let families = [
        Family::PromptInjection,
        Family::RefusalSuppression,
        Family::HiddenText,
        Family::HostRun,
        Family::ToolGrant,
        Family::Exfiltration,
        Family::CredentialAccess,
        Family::Secret,
        Family::Persistence,
        Family::Obfuscation,
        Family::FakePrerequisite,
        Family::MemoryFile,
        Family::Squatting,
        Family::Binary,
        Family::Archive,
        Family::HarmfulCommand,
        Family::Coverage,
    ];
    for family in families {
        let count = rules().iter().filter(|rule| rule.family == family).count();
        assert!(count >= 3, "{}: {count}", family.as_str());
    }
}
