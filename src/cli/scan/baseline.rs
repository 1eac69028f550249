//! Fingerprints of findings that were reviewed.

use std::collections::HashSet;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use super::super::files::file_error;
use crate::error::{CliError, CliErrorKind};

/// Larger baselines are refused, in bytes. This holds about 100,000 fingerprints.
const MAX_BYTES: u64 = 4 << 20;
/// Number of hexadecimal digits of a fingerprint.
const DIGITS: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Baseline {
    fingerprints: HashSet<String>,
}

impl Baseline {
    pub(super) fn read(path: &Path) -> Result<Self, CliError> {
        let mut text = String::new();
        File::open(path)
            .and_then(|file| file.take(MAX_BYTES + 1).read_to_string(&mut text))
            .map_err(|error| {
                CliError::new(
                    CliErrorKind::Usage,
                    file_error("cannot read", path, &error).to_string(),
                )
            })?;
        if text.len() as u64 > MAX_BYTES {
            let message = format!("{} is larger than {MAX_BYTES} bytes", path.display());
            return Err(CliError::new(CliErrorKind::Usage, message));
        }
        Self::parse(&text).map_err(|line| {
            let message = format!(
                "{} line {line} is not a fingerprint: write {DIGITS} hexadecimal digits a line, comments after #",
                path.display()
            );
            CliError::new(CliErrorKind::Usage, message)
        })
    }

    /// The error is the number of the first invalid line.
    fn parse(text: &str) -> Result<Self, usize> {
        let mut fingerprints = HashSet::new();
        for (index, line) in text.lines().enumerate() {
            let fingerprint = line.split('#').next().unwrap_or_default().trim();
            if fingerprint.is_empty() {
                continue;
            }
            if fingerprint.len() != DIGITS || !fingerprint.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(index + 1);
            }
            fingerprints.insert(fingerprint.to_ascii_lowercase());
        }
        Ok(Self { fingerprints })
    }

    pub(super) fn contains(&self, fingerprint: &str) -> bool {
        self.fingerprints.contains(fingerprint)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn comments_and_blank_lines_are_no_fingerprints() {
        let baseline = Baseline::parse("# reviewed\n\n3D1033958B49DB5B2FC4792665D8B2FF # ok\r\n").unwrap();
        assert!(baseline.contains("3d1033958b49db5b2fc4792665d8b2ff"));
        assert!(!baseline.contains(""));
    }

    #[test]
    fn invalid_line_is_named() {
        assert_eq!(Baseline::parse("# a\nnotes\n").unwrap_err(), 2);
    }
}
