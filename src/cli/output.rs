//! Writes results to stdout, tables for people and JSON for programs, and notes to stderr. A closed pipe is not an error.

use std::io::{self, Write as _};
use std::sync::OnceLock;

use comfy_table::{ContentArrangement, Table, presets};
use jiff::Timestamp;
use jiff::tz::TimeZone;
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

/// The time zone of the times in tables, once [`use_utc`] has chosen one.
static TIME_ZONE: OnceLock<TimeZone> = OnceLock::new();

/// Shows times in UTC. Without it, in the time zone of the system or of the environment variable `TZ`.
pub(super) fn use_utc() {
    TIME_ZONE.get_or_init(|| TimeZone::UTC);
}

/// Formats a time with seconds and its offset from UTC (RFC 3339 with a space, section 5.6).
pub(super) fn timestamp(time: Timestamp) -> String {
    timestamp_in(time, TIME_ZONE.get_or_init(TimeZone::system))
}

fn timestamp_in(time: Timestamp, zone: &TimeZone) -> String {
    let local = time.to_zoned(zone.clone());
    let offset = if local.offset().is_zero() { "Z" } else { "%:z" };
    local.strftime(&format!("%Y-%m-%d %H:%M:%S{offset}")).to_string()
}

pub(super) fn timestamp_or_dash(time: Option<Timestamp>) -> String {
    time.map_or_else(|| "-".to_owned(), timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_their_offset() {
        let time: Timestamp = "2026-11-26T23:30:25.9Z".parse().unwrap();
        assert_eq!(timestamp_in(time, &TimeZone::UTC), "2026-11-26 23:30:25Z");
        let zone = TimeZone::fixed(jiff::tz::offset(-3));
        assert_eq!(timestamp_in(time, &zone), "2026-11-26 20:30:25-03:00");
    }
}
