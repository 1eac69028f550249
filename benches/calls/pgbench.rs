//! The statements of one call as a pgbench script.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use tokio::process::Command;

use super::fixture::Place;
use super::load::Measured;
use super::{Outcome, SKILL};

/// How the statements travel.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    /// Three pipelines, as the server sends them.
    InFlights,
    /// Each after the answer to the one before.
    OneByOne,
}

const AUTHENTICATE: &str = include_str!("../../sql/queries/api_keys/authenticate.sql");
const DETAILS: &str = include_str!("../../sql/queries/skills/details.sql");
const FILES: &str = include_str!("../../sql/queries/versions/files.sql");
const LIST: &str = include_str!("../../sql/queries/versions/list.sql");
const INSERT_EVENT: &str = include_str!("../../sql/queries/usage/insert_event.sql");

/// A UUID of this moment: its random part need not have the right version, its time must fall into a partition.
const EVENT_ID: &str = "(lpad(to_hex((extract(epoch FROM clock_timestamp()) * 1000)::bigint), 12, '0') \
                        || substr(replace(gen_random_uuid()::text, '-', ''), 13))::uuid";

/// The query with its parameters replaced. Comments go, lest pgbench finds variables in them.
fn with(query: &str, parameters: &[String]) -> String {
    let mut text: String = query
        .lines()
        .filter(|line| !line.starts_with("--"))
        .fold(String::new(), |all, line| all + line + "\n");
    // From the last, so that $1 does not hit $10.
    for (number, parameter) in parameters.iter().enumerate().rev() {
        text = text.replace(&format!("${}", number + 1), parameter);
    }
    format!("{};\n", text.trim_end())
}

fn script(event: &[(String, Option<String>)], style: Style) -> Outcome<String> {
    let columns = INSERT_EVENT
        .split_once('(')
        .and_then(|(_, rest)| rest.split_once(')'))
        .ok_or("no columns")?
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
    let flights = [
        format!(
            "BEGIN;\nSET LOCAL app.current_tenant_id = '{tenant}';\nSET LOCAL statement_timeout = 20000;\nSAVEPOINT work;\n"
        ) + &with(AUTHENTICATE, &[variable("tenant_id"), variable("key_hash")]),
        with(DETAILS, &skill) + &with(FILES, &skill) + &with(LIST, &skill),
        format!(
            "RELEASE SAVEPOINT work;\n{}COMMIT;\n",
            with(INSERT_EVENT, &event_parameters)
        ),
    ];
    let mut script = String::new();
    for flight in flights {
        match style {
            Style::InFlights => write!(script, "\\startpipeline\n{flight}\\endpipeline\n")?,
            Style::OneByOne => script.push_str(&flight),
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
    place: &Place,
    event: &[(String, Option<String>)],
    style: Style,
    clients: usize,
    length: Duration,
) -> Outcome<Measured> {
    let scratch = place.scratch()?;
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
        .arg(format!("--time={}", length.as_secs().max(1)))
        .arg(format!("--host={}", place.socket_dir()))
        .args(["--username=skillkeep_app", "-D", &format!("slug={SKILL}")])
        .arg("--file")
        .arg(&file)
        .current_dir(&scratch);
    for (name, value) in event {
        if let Some(value) = value {
            command.args(["-D", &format!("{name}={value}")]);
        }
    }
    let done = command
        .arg("skillkeep")
        .output()
        .await
        .map_err(|error| format!("pgbench cannot be run: {error}"))?;
    let said = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() || said.contains("aborted") {
        return Err(format!("pgbench failed: {said}").into());
    }
    let mut measured = Measured {
        took_us: Vec::new(),
        length,
    };
    for entry in std::fs::read_dir(&scratch)? {
        let path = entry?.path();
        if path
            .file_name()
            .is_some_and(|name| name.to_string_lossy().starts_with("calls."))
        {
            for line in std::fs::read_to_string(&path)?.lines() {
                let took = line.split(' ').nth(2).ok_or("pgbench's log has another form")?;
                measured.took_us.push(took.parse()?);
            }
            std::fs::remove_file(path)?;
        }
    }
    Ok(measured)
}
