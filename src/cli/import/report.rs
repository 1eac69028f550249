//! What an import prints for people, and its exit code.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::cli::output;
use crate::error::{CliError, CliErrorKind};
use crate::registry::import::{ImportOutcome, Line};

/// Notes that name what was left out.
const LEFT_OUT_CODES: [&str; 4] = ["ignored_file", "secret_file", "junk_file", "left_out"];

/// The counts at the end.
#[derive(Debug, Default)]
pub(super) struct Summary {
    source: String,
    created: usize,
    updated: usize,
    unchanged: usize,
    refused: usize,
    left_out: usize,
    departed: usize,
    archived: usize,
    quarantined: usize,
    /// Number of skills with a note, by its code.
    notes: BTreeMap<&'static str, usize>,
}

impl Summary {
    pub(super) fn new(source: &str) -> Self {
        Self {
            source: source.to_owned(),
            ..Self::default()
        }
    }

    pub(super) fn add(&mut self, line: &Line) {
        match line.outcome {
            ImportOutcome::Created => self.created += 1,
            ImportOutcome::Updated => self.updated += 1,
            ImportOutcome::Unchanged => self.unchanged += 1,
            ImportOutcome::Refused => self.refused += 1,
            ImportOutcome::LeftOut => self.left_out += 1,
            ImportOutcome::Departed => self.departed += 1,
            ImportOutcome::Archived => self.archived += 1,
        }
        self.quarantined += usize::from(line.quarantined);
        let codes: BTreeSet<&str> = line.notes.iter().map(|note| note.code).collect();
        for code in codes {
            *self.notes.entry(code).or_default() += 1;
        }
    }

    const fn skills(&self) -> usize {
        self.created + self.updated + self.unchanged + self.refused
    }

    /// Prints the counts to stderr.
    ///
    /// # Errors
    /// If there is no skill, or one was refused.
    pub(super) fn finish(&self, path: &Path, dry_run: bool) -> Result<(), CliError> {
        if dry_run {
            output::note("This was a dry run: nothing was stored.");
        }
        output::note(&format!("Source: {}", self.source.escape_debug()));
        output::note(&format!(
            "{} created, {} updated, {} unchanged, {} refused",
            self.created, self.updated, self.unchanged, self.refused
        ));
        for (count, what) in [
            (self.departed, "left the source; --prune archives them"),
            (self.archived, "archived, because they left the source"),
            (self.quarantined, "quarantined by the scanner"),
            (
                self.left_out,
                "left out that are no skills, or not readable as such",
            ),
        ] {
            if count > 0 {
                output::note(&format!("{count} {what}"));
            }
        }
        if !self.notes.is_empty() {
            let notes: Vec<String> = self
                .notes
                .iter()
                .map(|(code, count)| format!("{code} {count}"))
                .collect();
            output::note(&format!("Skills with notes: {}", notes.join(", ")));
        }
        if self.skills() == 0 {
            let message = format!("there is no SKILL.md in or below {}", path.display());
            return Err(CliError::new(CliErrorKind::NotFound, message));
        }
        if self.refused > 0 {
            let message = match self.refused {
                1 => "1 skill or folder was refused; its line above names the reason".to_owned(),
                refused => {
                    format!("{refused} skills or folders were refused; their lines above name the reasons")
                }
            };
            return Err(CliError::new(CliErrorKind::Findings, message));
        }
        Ok(())
    }
}

/// The text for a line, with its notes indented below.
pub(super) fn describe(line: &Line, dry_run: bool) -> String {
    let skill = line.skill.as_deref().unwrap_or_default();
    let version = line.version.as_deref().unwrap_or_default();
    let reason = line.reason.as_deref().unwrap_or_default();
    let source = line.source.escape_debug().to_string();
    let stored = |outcome: &str| format!("{outcome:<10} {skill} {version} from {source}");
    let mut text = match line.outcome {
        ImportOutcome::Created => stored("created"),
        ImportOutcome::Updated => stored("updated"),
        ImportOutcome::Unchanged => stored("unchanged"),
        ImportOutcome::Refused => format!("{:<10} {source}: {reason}", "refused"),
        ImportOutcome::LeftOut => format!("{:<10} {source}: {reason}", "left out"),
        ImportOutcome::Departed => format!("{:<10} {skill} from {source}: {reason}", "departed"),
        ImportOutcome::Archived => format!("{:<10} {skill} from {source}: {reason}", "archived"),
    };
    if dry_run && line.outcome != ImportOutcome::Unchanged {
        text.push_str(" (dry run)");
    }
    let is_older = matches!(line.outcome, ImportOutcome::Created | ImportOutcome::Updated) && !line.latest;
    let states = [
        (line.fixed, "the front matter was repaired"),
        (
            line.quarantined,
            "quarantined: it can be neither found nor installed until a reviewer decides",
        ),
        (
            is_older && !line.quarantined,
            "stored, but not the latest version",
        ),
    ];
    let states = states
        .into_iter()
        .filter(|(holds, _)| *holds)
        .map(|(_, text)| text.to_owned());
    // What is missing in the registry comes first.
    let (left_out, other): (Vec<_>, Vec<_>) = line
        .notes
        .iter()
        .partition(|note| LEFT_OUT_CODES.contains(&note.code));
    let notes = left_out.into_iter().chain(other).map(|note| note.message.clone());
    let findings = line.findings.iter().map(|finding| {
        let place = finding.line.map_or_else(String::new, |line| format!(":{line}"));
        format!(
            "{} {}: {}{place}: {}",
            finding.severity, finding.rule, finding.path, finding.reason
        )
    });
    for note in states.chain(notes).chain(findings) {
        text.push_str("\n           ");
        text.push_str(&note);
    }
    text
}
