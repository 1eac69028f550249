//! Reports what the rules find in a corpus of real skills, and how long a scan takes.
//!
//! `SKILLKEEP_CORPUS` is a folder with `skills-md.tar.gz`, `skills-folders.tar.gz` (paths `owner/name/...`) and
//! `labels.jsonl.gz` (`id`, `risk`). With ids of rules as arguments, it prints their findings instead. Run it in a release
//! build: `cargo run --release -p skill-scanner --example corpus_report [RULE]...`.
#![expect(clippy::print_stdout, reason = "the report is the program's output")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use flate2::read::GzDecoder;
use skill_scanner::{ScanFile, ScanOptions, ScanReport, Severity, rules, scan};

/// How many skills labelled `safe` are shown, evenly spread.
const SHOWN_SAFE: usize = 50;

type Files = Vec<(String, Vec<u8>, bool)>;
type Skills = BTreeMap<String, Files>;

struct Scanned {
    id: String,
    report: ScanReport,
    time: Duration,
    bytes: usize,
}

fn main() -> Result<(), Box<dyn Error>> {
    let corpus =
        PathBuf::from(std::env::var("SKILLKEEP_CORPUS").map_err(|_| "set SKILLKEEP_CORPUS to the corpus")?);
    let documents = scan_all(&read_skills(&corpus.join("skills-md.tar.gz"))?);
    let folders = scan_all(&read_skills(&corpus.join("skills-folders.tar.gz"))?);
    let shown: Vec<String> = std::env::args().skip(1).collect();
    if !shown.is_empty() {
        print_findings(&shown, documents.iter().chain(&folders));
        return Ok(());
    }
    println!("rules: {}, {}", rules().len(), skill_scanner::ruleset_version());
    for (title, scanned) in [("SKILL.md alone", &documents), ("whole folders", &folders)] {
        println!("\n== {title}");
        print_times(scanned);
        print_worst(scanned.iter());
        print_rules(scanned);
    }
    let risks = read_risks(&corpus.join("labels.jsonl.gz"))?;
    for risk in ["critical", "high", "medium", "low", "safe"] {
        let labelled = || {
            documents
                .iter()
                .filter(|one| risks.get(&one.id).is_some_and(|label| label == risk))
        };
        println!("\n== labelled {risk}, SKILL.md alone");
        print_worst(labelled());
        if risk == "safe" {
            println!("-- {SHOWN_SAFE} of them, evenly spread");
            let step = (labelled().count() / SHOWN_SAFE).max(1);
            print_worst(labelled().step_by(step).take(SHOWN_SAFE));
        }
    }
    Ok(())
}

/// The skills of an archive with their files, by `owner/name`.
fn read_skills(path: &Path) -> Result<Skills, Box<dyn Error>> {
    let mut archive = tar::Archive::new(GzDecoder::new(File::open(path)?));
    let mut skills = Skills::new();
    for entry in archive.entries()? {
        let mut entry = entry?;
        if !entry.header().entry_type().is_file() {
            continue;
        }
        let path = entry.path()?.to_string_lossy().into_owned();
        let mut parts = path.splitn(3, '/');
        let (Some(owner), Some(name), Some(rest)) = (parts.next(), parts.next(), parts.next()) else {
            continue;
        };
        let is_executable = entry.header().mode()? & 0o111 != 0;
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes)?;
        let files = skills.entry(format!("{owner}/{name}")).or_default();
        files.push((rest.to_owned(), bytes, is_executable));
    }
    Ok(skills)
}

fn read_risks(path: &Path) -> Result<BTreeMap<String, String>, Box<dyn Error>> {
    let mut risks = BTreeMap::new();
    for line in BufReader::new(GzDecoder::new(File::open(path)?)).lines() {
        let label: serde_json::Value = serde_json::from_str(&line?)?;
        let text = |key: &str| {
            label
                .get(key)
                .and_then(|value| value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        risks.insert(text("id"), text("risk"));
    }
    Ok(risks)
}

fn scan_all(skills: &Skills) -> Vec<Scanned> {
    // Compiles the rules, which must not count as time of the first skill.
    let _ = scan(&[], &ScanOptions::default());
    let scan_one = |(id, files): (&String, &Files)| {
        let inputs: Vec<ScanFile<'_>> = files
            .iter()
            .map(|(path, bytes, is_executable)| ScanFile {
                path,
                bytes,
                is_executable: *is_executable,
            })
            .collect();
        let start = Instant::now();
        let report = scan(&inputs, &ScanOptions::default());
        Scanned {
            id: id.clone(),
            report,
            time: start.elapsed(),
            bytes: files.iter().map(|(_, bytes, _)| bytes.len()).sum(),
        }
    };
    skills.iter().map(scan_one).collect()
}

fn print_times(scanned: &[Scanned]) {
    let mut times: Vec<Duration> = scanned.iter().map(|one| one.time).collect();
    times.sort_unstable();
    let at = |percent: usize| {
        times
            .get((times.len().saturating_sub(1)) * percent / 100)
            .copied()
            .unwrap_or_default()
    };
    let total: Duration = times.iter().sum();
    let bytes: usize = scanned.iter().map(|one| one.bytes).sum();
    println!(
        "{} skills, {bytes} bytes in {total:.2?}; a skill: median {:.2?}, p95 {:.2?}, worst {:.2?}",
        times.len(),
        at(50),
        at(95),
        at(100)
    );
}

/// How many skills have which severity as their worst.
fn print_worst<'a>(scanned: impl Iterator<Item = &'a Scanned>) {
    let mut counts: BTreeMap<Option<Severity>, usize> = BTreeMap::new();
    for one in scanned {
        *counts.entry(one.report.worst).or_default() += 1;
    }
    let total: usize = counts.values().sum();
    for (worst, count) in counts.iter().rev() {
        let name = worst.map_or("no finding", Severity::as_str);
        println!("{name:>10} {count:>6} {:>6.2} %", percent(*count, total));
    }
}

fn percent(count: usize, total: usize) -> f64 {
    let number = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
    100.0 * number(count) / number(total.max(1))
}

/// For each rule, in how many skills it is found, by its worst severity there.
fn print_rules(scanned: &[Scanned]) {
    let mut counts: BTreeMap<&str, [usize; 5]> = BTreeMap::new();
    for one in scanned {
        let mut worst: BTreeMap<&str, Severity> = BTreeMap::new();
        for finding in &one.report.findings {
            let severity = worst.entry(&finding.rule).or_insert(finding.severity);
            *severity = finding.severity.max(*severity);
        }
        for (rule, severity) in worst {
            let row = counts.entry(rule).or_default();
            for (count, column) in row.iter_mut().zip(Severity::ALL) {
                *count += usize::from(column == severity);
            }
        }
    }
    println!(
        "{:36} {:>6} {:>6} {:>6} {:>6} {:>6}",
        "skills by rule", "info", "low", "medium", "high", "crit"
    );
    for (rule, [info, low, medium, high, critical]) in counts {
        println!("{rule:36} {info:>6} {low:>6} {medium:>6} {high:>6} {critical:>6}");
    }
}

/// Excerpts have no control characters and no secrets, so that they can be printed.
fn print_findings<'a>(shown: &[String], scanned: impl Iterator<Item = &'a Scanned>) {
    for one in scanned {
        for finding in one
            .report
            .findings
            .iter()
            .filter(|finding| shown.contains(&finding.rule))
        {
            let line = finding.line.unwrap_or(0);
            println!(
                "{:8} {} {}/{}:{line}: {}",
                finding.severity, finding.rule, one.id, finding.path, finding.excerpt
            );
        }
    }
}
