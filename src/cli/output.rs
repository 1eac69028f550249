//! Writes results to stdout, tables for people and JSON for programs, and notes to stderr. A closed pipe is not an error.

use std::io::{self, Write as _};

use comfy_table::{ContentArrangement, Table, presets};
use serde::Serialize;

use crate::error::{CliError, CliErrorKind};
use crate::shown_text::{visible, visible_json, visible_lines};

/// Writes a text of one or more lines. Characters that could control the terminal or hide are written as their code points.
pub(super) fn line(text: &str) -> Result<(), CliError> {
    write_line(&visible_lines(text))
}

fn write_line(text: &str) -> Result<(), CliError> {
    let mut stdout = io::stdout().lock();
    match writeln!(stdout, "{text}").and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(CliError::new(
            CliErrorKind::Internal,
            format!("cannot write to stdout: {error}"),
        )),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Writes a line that must arrive. A closed pipe is an error too.
pub(super) fn required_line(text: &str) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}")?;
    stdout.flush()
}

/// Writes a text of one or more lines to stderr, with characters as [`line`] writes them. If stderr is closed or its disk is full,
/// nobody can be told.
pub(super) fn note(text: &str) {
    let _unreadable = writeln!(io::stderr().lock(), "{}", visible_lines(text));
}

/// Writes the value as one line of JSON.
pub(super) fn json(value: &impl Serialize) -> Result<(), CliError> {
    let text = serde_json::to_string(value)
        .map_err(|error| CliError::new(CliErrorKind::Internal, format!("cannot write JSON: {error}")))?;
    write_line(&visible_json(&text))
}

/// Writes the rows as a table; without rows, writes `empty`.
pub(super) fn table(headings: &[&str], rows: Vec<Vec<String>>, empty: &str) -> Result<(), CliError> {
    if rows.is_empty() {
        return line(empty);
    }
    let mut table = Table::new();
    table
        .load_preset(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(headings.iter().map(|heading| heading.to_uppercase()));
    for row in rows {
        // Cells may contain text from unauthenticated callers. Also escapes line feeds, which would begin another row.
        table.add_row(row.iter().map(|cell| visible(cell)));
    }
    line(&table.trim_fmt())
}

/// Formats a time with seconds, in UTC.
pub(super) fn timestamp(time: jiff::Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S").to_string()
}

pub(super) fn timestamp_or_dash(time: Option<jiff::Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), timestamp)
}
