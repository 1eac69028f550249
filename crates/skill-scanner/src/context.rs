//! Tells a text that describes an attack from one that makes it.
//!
//! This is a guess from words nearby. It lowers a severity and never removes a finding, because an attacker can write
//! these words too.

use std::sync::LazyLock;

use regex::bytes::{Regex, RegexBuilder};

/// Limits the size of a compiled pattern, and of the states that a search keeps, in bytes.
pub(crate) const PATTERN_BYTES: usize = 1024 * 1024;
pub(crate) const SEARCH_BYTES: usize = 256 * 1024;

/// Compiles a pattern of this crate. Patterns match bytes and know ASCII only, which is fast and enough, because texts are
/// normalised before. `None` if the pattern is invalid, which a test excludes.
pub(crate) fn compile(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(pattern)
        .unicode(false)
        .multi_line(true)
        .size_limit(PATTERN_BYTES)
        .dfa_size_limit(SEARCH_BYTES)
        .build()
        .ok()
}

/// Words before a match that make it a warning or an example.
const BEFORE: &str = r#"(?i)\b(never|do not|don'?t|must not|mustn'?t|avoid|refuse|reject|block(s|ed)?|deny|denied|detect\w*|flag(s|ged)?|prevent\w*|scan(s|ning)? for|look for|check(s|ing)? for|search(es|ing)? for|watch for|such as|e\.g|for example|examples? of|example:|phrases? like|rather than|instead of|bad|wrong|unsafe|insecure|dangerous|vulnerable|forbidden|prohibited|warn(s|ing)?)\b|\xE2\x9D\x8C|\xF0\x9F\x9A\xAB|\xE2\x9A\xA0|\xF0\x9F\x9A\xA9"#;

/// Words anywhere on the line that make it a description of an attack.
const ANYWHERE: &str = r"(?i)\b(attack(s|er|ers)?|malicious\w*|adversar\w*|injection|jailbreak\w*|payloads?|exploit(s|ation)?|suspicious|red flags?|anti-?patterns?|vulnerab\w*|malware|phishing|threats?|untrusted|CVE-\d|CWE-\d|OWASP|MITRE)\b|\xE2\x9D\x8C|\xF0\x9F\x9A\xAB|\xF0\x9F\x9A\xA9";

const HEADING: &str = r"(?i)\b(attacks?|detect\w*|red flags?|anti-?patterns?|do not|don'?ts?|never|avoid|unsafe|insecure|vulnerab\w*|threats?|malicious|payloads?|forbidden|prohibited|bad|wrong|dangerous|injection|jailbreak\w*|exploit\w*|risks?|warning signs?|adversarial|security (checks?|review|audit|scan\w*|patterns?)|guardrails?|red team\w*|pentest\w*|test cases?|examples? of)\b";

/// Words in the name or description of a skill about security.
const TOPIC: &str = r"(?i)(\bsecurity|secur\w*[- ](review|audit|scan)|\baudit\w*|vulnerab|inject(ion|ed)|pen-?test|penetration|red.?team|threat|malware|malicious|exploit|\bctf\b|forensic|\bsast\b|owasp|jailbreak|guardrail|prompt.?(injection|security)|privilege|hacking|offensive|bug.?bounty|\bxss\b|\bsqli\b|incident response|hardening|sandbox escape|secret(s)?.?(scan|detect))";

static BEFORE_REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| compile(BEFORE));
static ANYWHERE_REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| compile(ANYWHERE));
static HEADING_REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| compile(HEADING));
static TOPIC_REGEX: LazyLock<Option<Regex>> = LazyLock::new(|| compile(TOPIC));

fn is_match(regex: &LazyLock<Option<Regex>>, text: &[u8]) -> bool {
    regex.as_ref().is_some_and(|regex| regex.is_match(text))
}

/// All patterns of this module, for the ruleset's version.
pub(crate) const PATTERNS: [&str; 4] = [BEFORE, ANYWHERE, HEADING, TOPIC];

/// Returns whether the words before a match, or on its lines, say that it is an example or a warning.
pub(crate) fn is_description(before: &str, around: [&str; 2]) -> bool {
    is_match(&BEFORE_REGEX, before.as_bytes())
        || around
            .iter()
            .any(|text| is_match(&ANYWHERE_REGEX, text.as_bytes()))
}

pub(crate) fn heading_is_about_attacks(heading: &[u8]) -> bool {
    is_match(&HEADING_REGEX, heading)
}

/// Returns whether the front matter says that the skill is about security.
pub(crate) fn is_about_security(front_matter: &[u8]) -> bool {
    is_match(&TOPIC_REGEX, front_matter)
}

/// The path says that the file is an example for tests or a list of attacks.
pub(crate) fn path_is_about_attacks(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    [
        "fixture",
        "payload",
        "attack",
        "exploit",
        "malicious",
        "red-team",
        "threat",
        "vulnerab",
        "injection",
    ]
    .iter()
    .any(|word| path.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_compiles() {
        for pattern in PATTERNS {
            assert!(compile(pattern).is_some(), "{pattern}");
        }
    }

    #[test]
    fn warning_before_a_match_makes_it_a_description() {
        assert!(is_description("Never run ", ["", ""]));
        assert!(is_description("", ["", " is an attack"]));
        assert!(!is_description("Then run ", ["Then run ", " and go on"]));
    }
}
