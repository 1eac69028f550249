//! Prints the reports: a table for people, TAP or JSON for programs.

use clap::ValueEnum;

use crate::cli::output;
use crate::error::CliError;
use crate::scripted::{RunReport, to_tap};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// A table for people
    Table,
    /// The Test Anything Protocol, version 14
    Tap,
    /// One JSON array
    Json,
}

pub(super) fn print(format: Format, runs: &[RunReport]) -> Result<(), CliError> {
    match format {
        Format::Table => print_tables(runs),
        Format::Tap => output::line(&to_tap(runs)),
        Format::Json => output::json(&runs),
    }
}

fn print_tables(runs: &[RunReport]) -> Result<(), CliError> {
    for run in runs {
        output::line(&format!("{} over {}", printable(&run.name), run.transport))?;
        let rows = run.steps.iter().map(|step| {
            let verdict = if step.passed() { "passed" } else { "FAILED" };
            vec![
                step.number.to_string(),
                step.name.clone(),
                step.user.clone(),
                step.tool.clone(),
                step.outcome.clone(),
                format!("{} ms", step.duration.as_millis()),
                verdict.to_owned(),
            ]
        });
        output::table(
            &["step", "name", "user", "tool", "outcome", "time", "result"],
            rows.collect(),
            "",
        )?;
        print_details(run)?;
        output::line("")?;
    }
    let total: usize = runs.iter().map(|run| run.steps.len()).sum();
    let failed: usize = runs.iter().map(RunReport::failed).sum();
    output::line(&format!("{} steps passed, {failed} failed.", total - failed))
}

fn print_details(run: &RunReport) -> Result<(), CliError> {
    for step in &run.steps {
        for failure in &step.failures {
            let text = format!(
                "{}: step {}, {}: {failure}",
                run.place(step),
                step.number,
                step.name
            );
            output::line(&printable(&text))?;
        }
        for note in &step.notes {
            output::line(&printable(&format!(
                "{}: step {}: {note}",
                run.place(step),
                step.number
            )))?;
        }
    }
    Ok(())
}

/// Texts of a registry must not reach the terminal with control characters.
fn printable(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}
