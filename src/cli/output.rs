//! Results to stdout: tables for people, JSON for programs. A closed pipe ends the output, not with a panic.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::error::{CliError, CliErrorKind};

/// Writes one line to stdout.
pub(super) fn line(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::new(
            CliErrorKind::Internal,
            format!("cannot write to stdout: {error}"),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a value as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value)
        .map_err(|error| CliError::new(CliErrorKind::Internal, format!("cannot write JSON: {error}")))?;
    line(&text)
}

/// Writes rows as a table; with none, the words for "nothing".
pub(super) fn table(headings: &[&str], rows: Vec<Vec<String>>, nothing: &str) -> Result<(), CliError> {
    if rows.is_empty() {
        return line(nothing);
    }
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        // A table is read line by line, and what it shows may come from strangers.
        table.add_row(row.iter().map(|cell| {
            cell.chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect::<String>()
        }));
    }
    line(&table.trim_fmt())
}

/// A moment, to the second.
pub(super) fn moment(moment: jiff::Timestamp) -> String {
    moment.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

/// A moment or a dash.
pub(super) fn moment_or_dash(value: Option<jiff::Timestamp>) -> String {
    value.map_or_else(|| "-".to_owned(), moment)
}
