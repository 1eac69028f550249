//! The statements of one call as a pgbench script.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use super::fixture::Fixture;
use super::load::Measurement;
use super::{BenchResult, SKILL};

/// How the statements are sent.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// In three pipelines, like the server.
    Pipelined,
    /// Each after the answer to the previous one.
    Sequential,
}

const AUTHENTICATE: &str = include_str!("../../sql/queries/api_keys/authenticate.sql");
const DETAILS: &str = include_str!("../../sql/queries/skills/details.sql");
const FILES: &str = include_str!("../../sql/queries/versions/files.sql");
const LIST: &str = include_str!("../../sql/queries/versions/list.sql");
const INSERT_EVENT: &str = include_str!("../../sql/queries/usage/insert_event.sql");

/// A UUID with the current time, which selects the partition. Its version bits are arbitrary.
const EVENT_ID: &str = "(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') \
                        || substr(replace(gen_random_uuid()::text, '-', ''), 13))::uuid";

/// Replaces the parameters of a query, and removes comments, because pgbench would substitute variables in them.
fn bind(query: &str, parameters: &[String]) -> String {
    let mut text: String = query
        .lines()
        .filter(|line| !line.starts_with("--"))
        .fold(String::new(), |all, line| all + line + "\n");
    // The last parameter first, so that $1 does not match in $10.
    for (number, parameter) in parameters.iter().enumerate().rev() {
        text = text.replace(&format!("${}", number + 1), parameter);
    }
    format!("{};\n", text.trim_end())
}

fn script(event: &[(String, Option<String>)], style: Style) -> BenchResult<String> {
    let columns = INSERT_EVENT
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .ok_or("the insert has no columns")?
        .0;
    let variable = |name: &str| format!(":{name}");
    let event_parameters: Vec<String> = columns
        .split(',')
        .map(str::trim)
        .map(|column| match event.iter().find(|(name, _)| name == column) {
            _ if column == "id" => EVENT_ID.to_owned(),
            Some((_, Some(_))) => variable(column),
            Some((_, None)) | None => "NULL".to_owned(),
        })
        .collect();
    let tenant = event
        .iter()
        .find(|(name, _)| name == "tenant_id")
        .and_then(|(_, value)| value.clone());
    let tenant = tenant.ok_or("the event has no tenant")?;
    let skill = [variable("tenant_id"), variable("slug"), "NULL".to_owned()];
    let batches = [
        format!(
            "BEGIN;\nSET LOCAL app.current_tenant_id = '{tenant}';\nSET LOCAL statement_timeout = 20000;\nSAVEPOINT work;\n"
        ) + &bind(AUTHENTICATE, &[variable("tenant_id"), variable("key_hash")]),
        bind(DETAILS, &skill) + &bind(FILES, &skill) + &bind(LIST, &skill),
        format!(
            "RELEASE SAVEPOINT work;\n{}COMMIT;\n",
            bind(INSERT_EVENT, &event_parameters)
        ),
    ];
    let mut script = String::new();
    for batch in batches {
        match style {
            Style::Pipelined => write!(script, "\\startpipeline\n{batch}\\endpipeline\n")?,
            Style::Sequential => script.push_str(&batch),
        }
    }
    Ok(script)
}

fn program() -> PathBuf {
    let debian = (15..30)
        .rev()
        .map(|major| PathBuf::from(format!("/usr/lib/postgresql/{major}/bin")));
    std::env::var_os("SKILLKEEP_PG_BIN")
        .map(PathBuf::from)
        .into_iter()
        .chain(debian)
        .map(|folder| folder.join("pgbench"))
        .find(|program| program.is_file())
        .unwrap_or_else(|| PathBuf::from("pgbench"))
}

pub(super) async fn run(
    fixture: &Fixture,
    event: &[(String, Option<String>)],
    style: Style,
    clients: usize,
    duration: Duration,
) -> BenchResult<Measurement> {
    let scratch = fixture.scratch()?;
    let file = scratch.join("call.sql");
    std::fs::write(&file, script(event, style)?)?;
    let mut command = Command::new(program());
    command
        .args([
            "--no-vacuum",
            "--protocol=prepared",
            "--log",
            "--log-prefix=calls",
            "--port=5432",
        ])
        .arg(format!("--client={clients}"))
        .arg(format!("--jobs={}", clients.min(2)))
        .arg(format!("--time={}", duration.as_secs().max(1)))
        .arg(format!("--host={}", fixture.socket_dir()))
        .args(["--username=skillkeep_app", "-D", &format!("slug={SKILL}")])
        .arg("--file")
        .arg(&file)
        .current_dir(&scratch);
    for (name, value) in event {
        if let Some(value) = value {
            command.args(["-D", &format!("{name}={value}")]);
        }
    }
    let output = command
        .arg("skillkeep")
        .output()
        .await
        .map_err(|error| format!("pgbench cannot be run: {error}"))?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    if !output.status.success() || stderr.contains("aborted") {
        return Err(format!("pgbench failed: {stderr}").into());
    }
    let mut measurement = Measurement {
        latencies_us: Vec::new(),
        duration,
    };
    for entry in std::fs::read_dir(&scratch)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("calls."))
        {
            for line in std::fs::read_to_string(&path)?.lines() {
                let took = line.split(' ').nth(2).ok_or("unknown format of pgbench's log")?;
                measurement.latencies_us.push(took.parse()?);
            }
            std::fs::remove_file(path)?;
        }
    }
    Ok(measurement)
}
