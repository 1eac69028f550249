//! `skillkeep scan`: looks for risky content in skills, without a database.

mod baseline;
mod scan_output;

use std::path::{Path, PathBuf};

use agent_skills::{Diagnostic, SkillFolder, find_skill_folders, read_folder};
use clap::ValueEnum;
use skill_scanner::{ScanFile, ScanOptions, ScanReport, Severity};

use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use baseline::Baseline;

#[derive(Debug, clap::Args)]
pub(super) struct ScanArgs {
    /// A skill's folder, or a folder with skills below it
    #[arg(required_unless_present = "rules")]
    folder: Option<PathBuf>,
    /// Write findings in this format
    ///
    /// Default: text; with the global --json, json.
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Exit with 1 on a finding of this severity or worse
    #[arg(long, value_name = "SEVERITY", value_enum, default_value_t = Threshold::High)]
    fail_on: Threshold,
    /// Leave out the findings whose fingerprints this file lists
    ///
    /// One fingerprint a line; a # begins a comment.
    #[arg(long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// List the rules instead of scanning
    #[arg(long, conflicts_with_all = ["folder", "baseline"])]
    rules: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people
    Text,
    /// One JSON object
    Json,
    /// SARIF 2.1.0, which code hosts show
    Sarif,
}

/// A severity, as `--fail-on` names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Threshold {
    Info,
    Low,
    Medium,
    High,
    Critical,
}

impl Threshold {
    const fn severity(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Low => Severity::Low,
            Self::Medium => Severity::Medium,
            Self::High => Severity::High,
            Self::Critical => Severity::Critical,
        }
    }
}

/// The result for one skill.
struct ScannedSkill {
    /// The folder as given, or relative to the working folder if it is below it.
    path: String,
    report: ScanReport,
    /// How many findings the baseline suppressed.
    suppressed: usize,
    /// Files that were not scanned because publishing leaves them out.
    left_out: Vec<String>,
}

/// The result of a run.
#[derive(Default)]
struct ScanRun {
    skills: Vec<ScannedSkill>,
    /// Why a folder was not scanned.
    errors: Vec<String>,
}

pub(super) fn run(config: &Config, args: &ScanArgs) -> Result<(), CliError> {
    let default = if config.json { Format::Json } else { Format::Text };
    let format = args.format.unwrap_or(default);
    let Some(folder) = args.folder.as_deref().filter(|_| !args.rules) else {
        return scan_output::rules(format);
    };
    if !folder.is_dir() {
        return Err(usage(format!(
            "{} is not a folder that can be read",
            folder.display()
        )));
    }
    let baseline = match &args.baseline {
        Some(path) => Baseline::read(path)?,
        None => Baseline::default(),
    };
    let run = scan_folder(folder, &baseline);
    if run.skills.is_empty() && run.errors.is_empty() {
        return Err(usage(format!(
            "{} contains no skill: no folder in it has a SKILL.md",
            folder.display()
        )));
    }
    scan_output::write(format, &run)?;
    outcome(&run, args.fail_on.severity())
}

fn usage(message: String) -> CliError {
    CliError::new(CliErrorKind::Usage, message)
}

fn scan_folder(folder: &Path, baseline: &Baseline) -> ScanRun {
    let mut run = ScanRun::default();
    for found in find_skill_folders(folder) {
        // One skill is in memory at a time.
        let scanned =
            found.and_then(|path| read_folder(&path).map(|skill| scan_skill(&path, &skill, baseline)));
        match scanned {
            Ok(skill) => run.skills.push(skill),
            Err(error) => run.errors.push(error.to_string()),
        }
    }
    run
}

fn scan_skill(path: &Path, skill: &SkillFolder, baseline: &Baseline) -> ScannedSkill {
    let files: Vec<ScanFile<'_>> = skill
        .files
        .iter()
        .map(|file| ScanFile {
            path: file.path.as_str(),
            bytes: &file.bytes,
            is_executable: file.is_executable,
        })
        .collect();
    let mut report = skill_scanner::scan(&files, &ScanOptions::default());
    let suppressed = report.suppress(|finding| baseline.contains(&finding.fingerprint));
    let is_left_out = |diagnostic: &&Diagnostic| {
        matches!(
            diagnostic,
            Diagnostic::Excluded { .. } | Diagnostic::MoreLeftOut { .. }
        )
    };
    let left_out = skill
        .diagnostics
        .iter()
        .filter(is_left_out)
        .map(ToString::to_string);
    ScannedSkill {
        path: shown_path(path),
        report,
        suppressed,
        left_out: left_out.collect(),
    }
}

/// The path relative to the working folder, because code hosts show findings of relative paths only.
fn shown_path(path: &Path) -> String {
    let relative = std::env::current_dir()
        .ok()
        .and_then(|current| path.strip_prefix(current).ok().map(Path::to_path_buf));
    let path = relative.unwrap_or_else(|| path.to_path_buf());
    // Components leave out `.` except at the beginning.
    let path = path.strip_prefix(".").unwrap_or(&path);
    let text = path.to_string_lossy().trim_end_matches('/').to_owned();
    if text.is_empty() { ".".to_owned() } else { text }
}

fn outcome(run: &ScanRun, threshold: Severity) -> Result<(), CliError> {
    if !run.errors.is_empty() {
        let message = format!("not everything was scanned:\n{}", run.errors.join("\n"));
        return Err(usage(message));
    }
    let findings = run.skills.iter().flat_map(|skill| &skill.report.findings);
    let bad = findings.filter(|finding| finding.severity >= threshold).count();
    if bad == 0 {
        return Ok(());
    }
    let message = format!(
        "{bad} findings of severity {threshold} or worse\n\
         hint: mend them, or list the fingerprints of reviewed ones in a file for --baseline"
    );
    Err(CliError::new(CliErrorKind::Findings, message))
}
