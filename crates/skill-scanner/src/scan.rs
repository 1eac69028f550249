//! Scans the files of a skill with all rules.

use crate::checks::{Check, is_archive, is_program};
use crate::collector::{Collector, Match};
use crate::context;
use crate::file_kind::{FileKind, extension, file_kind};
use crate::lines::as_utf8;
use crate::options::{ScanFile, ScanOptions};
use crate::report::ScanReport;
use crate::ruleset::{CompiledRule, Ruleset, ruleset};
use crate::text_scan::TextScan;

/// How many bytes of `SKILL.md` are read to find out what the skill is about.
const TOPIC_BYTES: usize = 4 * 1024;

/// File formats that are not text and hold no program: images, fonts, media, office documents.
const MEDIA: [&str; 38] = [
    "png", "jpg", "jpeg", "gif", "webp", "bmp", "ico", "tif", "tiff", "heic", "avif", "psd", "pdf", "ttf",
    "otf", "woff", "woff2", "eot", "mp3", "wav", "ogg", "flac", "m4a", "mp4", "mov", "webm", "avi", "docx",
    "xlsx", "pptx", "odt", "ods", "odp", "epub", "dotx", "xltx", "potx", "parquet",
];

/// Scans the files of one skill.
///
/// The result depends on nothing but the files, the options and the rules. The order of the files does not matter: `SKILL.md`
/// is read first, then the others by path. Paths should differ.
///
/// # Limits
/// Time is linear in the size of the files. Beside the files themselves, which the caller holds, a scan takes at most three times
/// [`max_file_bytes`](ScanOptions::max_file_bytes) (for a file in UTF-16) and 64 MiB for patterns, blocks and findings.
#[must_use]
pub fn scan(files: &[ScanFile<'_>], options: &ScanOptions) -> ScanReport {
    let rules = ruleset();
    let mut ordered: Vec<&ScanFile<'_>> = files.iter().collect();
    ordered.sort_by_key(|file| (file_kind(file) != FileKind::SkillMd, file.path));
    let mut scan = Scan {
        rules,
        options,
        is_about_security: ordered.first().is_some_and(|file| is_about_security(file)),
        budget: options.max_total_bytes,
        findings: Collector::new(&rules.rules, options),
    };
    for file in ordered {
        scan.file(file);
    }
    if scan.findings.cut() {
        scan.report_check(Check::TooManyFindings, "SKILL.md", "");
    }
    let findings = scan.findings.finish();
    ScanReport {
        ruleset: rules.version.clone(),
        worst: findings.iter().map(|finding| finding.severity).max(),
        findings,
    }
}

fn is_about_security(file: &ScanFile<'_>) -> bool {
    let head = file.bytes.get(..TOPIC_BYTES).unwrap_or(file.bytes);
    let text = String::from_utf8_lossy(head);
    let front_matter = text.split("---").nth(1).unwrap_or_default();
    file_kind(file) == FileKind::SkillMd && context::is_about_security(front_matter.as_bytes())
}

struct Scan<'a> {
    rules: &'static Ruleset,
    options: &'a ScanOptions,
    is_about_security: bool,
    /// How many bytes may still be read as text.
    budget: usize,
    findings: Collector<'a>,
}

impl Scan<'_> {
    fn file(&mut self, file: &ScanFile<'_>) {
        let kind = file_kind(file);
        let active: Vec<bool> = self
            .rules
            .compiled
            .iter()
            .map(|rule| applies(rule, file, kind))
            .collect();
        self.paths(file, &active);
        self.bytes(file, kind);
        if kind == FileKind::Binary {
            return;
        }
        let length = file.bytes.len().min(self.options.max_file_bytes);
        let taken = length.min(self.budget);
        self.budget -= taken;
        if taken < length {
            self.report_check(Check::SkillTooLarge, file.path, "");
        } else if length < file.bytes.len() {
            self.report_check(Check::FileTooLarge, file.path, "");
        }
        let text = as_utf8(file.bytes.get(..taken).unwrap_or_default());
        let scan = TextScan {
            rules: self.rules,
            active: &active,
            path: file.path,
            kind,
            is_about_security: self.is_about_security,
            is_about_attacks: context::path_is_about_attacks(file.path),
        };
        scan.run(&text, &mut self.findings);
    }

    /// Rules that a path alone matches.
    fn paths(&mut self, file: &ScanFile<'_>, active: &[bool]) {
        for (index, rule) in self.rules.compiled.iter().enumerate() {
            if rule.pattern.is_none() && rule.source.check.is_none() && active.get(index) == Some(&true) {
                self.report(index, rule, file.path, "");
            }
        }
    }

    /// What the first bytes say.
    fn bytes(&mut self, file: &ScanFile<'_>, kind: FileKind) {
        let extension = extension(file.path);
        if is_program(file.bytes) {
            self.report_check(Check::Program, file.path, "");
        } else if is_archive(file.bytes, &extension) {
            self.report_check(Check::Archive, file.path, "");
        } else if kind == FileKind::Binary && !MEDIA.contains(&&*extension) {
            self.report_check(Check::UnknownBinary, file.path, "");
        }
    }

    fn report_check(&mut self, check: Check, path: &str, matched: &str) {
        for (index, rule) in self.rules.with_check(check) {
            self.report(index, rule, path, matched);
        }
    }

    fn report(&mut self, index: usize, rule: &CompiledRule, path: &str, matched: &str) {
        self.findings.add(Match {
            rule: index,
            severity: rule.source.severity,
            path,
            line: None,
            excerpt: String::new(),
            matched,
        });
    }
}

/// Returns whether a rule is about this kind of file and this path.
fn applies(rule: &CompiledRule, file: &ScanFile<'_>, kind: FileKind) -> bool {
    let files = &rule.source.files;
    (files.is_empty() || files.contains(&kind))
        && rule
            .path
            .as_ref()
            .is_none_or(|path| path.is_match(file.path.as_bytes()))
}
