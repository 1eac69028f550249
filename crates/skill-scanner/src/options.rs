//! What is scanned, and limits of a scan.

/// A file of a skill.
#[derive(Debug, Clone, Copy)]
pub struct ScanFile<'a> {
    /// Path relative to the skill's folder, with `/` between segments.
    pub path: &'a str,
    pub bytes: &'a [u8],
    pub is_executable: bool,
}

/// Limits of a scan. What is left out because of a limit is a finding itself (rules `coverage-*`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ScanOptions {
    /// How many bytes of a file are read as text. The rest of the file is not scanned.
    pub max_file_bytes: usize,
    /// How many bytes of all files together are read as text, in the order of their paths, `SKILL.md` first.
    pub max_total_bytes: usize,
    /// How many findings of one rule are kept.
    pub max_findings_per_rule: usize,
    /// How many findings are kept; the worst ones.
    pub max_findings: usize,
}

impl Default for ScanOptions {
    fn default() -> Self {
        Self {
            max_file_bytes: 4 * 1024 * 1024,
            max_total_bytes: 16 * 1024 * 1024,
            max_findings_per_rule: 20,
            max_findings: 200,
        }
    }
}
