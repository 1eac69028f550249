#![doc = include_str!("../README.md")]

mod blocks;
mod characters;
mod checks;
mod collector;
mod context;
mod encoded;
mod excerpt;
mod file_kind;
mod lines;
mod markdown;
mod normalise;
mod options;
mod report;
mod rule;
mod rule_source;
mod ruleset;
mod sarif;
mod scan;
mod severity;
mod text_scan;

pub use options::{ScanFile, ScanOptions};
pub use report::{Finding, ScanReport};
pub use rule::{Example, Family, Rule};
pub use sarif::to_sarif;
pub use scan::scan;
pub use severity::{Severity, UnknownSeverity};

/// The rules, ordered by id.
#[must_use]
pub fn rules() -> &'static [Rule] {
    &ruleset::ruleset().rules
}

/// A digest of all rules: `sha256:` and 64 hexadecimal digits. What was scanned with another one should be scanned again.
#[must_use]
pub fn ruleset_version() -> &'static str {
    &ruleset::ruleset().version
}
