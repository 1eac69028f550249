//! `skillkeep postgres-supervise`, the parent process of the embedded PostgreSQL, which only skillkeep itself starts; and
//! `skillkeep postgres-hold`, which only keeps the database running until its stdin ends, for tests and scripts.

use std::io::Read as _;
use std::process::ExitCode;

use super::database::APP_NAME;
use super::embedded_errors::embedded_failure;
use super::{database, output};
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use embedded_postgres::{Embedded, SuperviseOptions, supervise};

/// The roles that skillkeep's processes connect as; `db::provision` creates them.
const ROLES: [&str; 3] = ["skillkeep_owner", "skillkeep_app", "skillkeep_admin"];

/// Needs the global options `--data-dir` and `--pg-bin`, which are canonical paths here.
pub(super) fn run(config: Config) -> Result<(), CliError> {
    let (Some(data_dir), Some(pg_bin)) = (config.data_dir, config.pg_bin) else {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "postgres-supervise needs --data-dir and --pg-bin",
        ));
    };
    let options = SuperviseOptions {
        app_name: APP_NAME.to_owned(),
        data_dir,
        pg_bin,
        roles: ROLES.map(str::to_owned).to_vec(),
    };
    if supervise(&options) == ExitCode::SUCCESS {
        Ok(())
    } else {
        Err(CliError::new(
            CliErrorKind::Unavailable,
            "the embedded PostgreSQL could not be started",
        ))
    }
}

/// Prints how the database was started and its socket folder, waits for the end of stdin, leaves, and prints the result.
pub(super) fn hold(config: &Config) -> Result<(), CliError> {
    let embedded = Embedded::start(&database::embedded_options(config)?).map_err(embedded_failure)?;
    output::line(&format!(
        "ready {:?} {}",
        embedded.outcome(),
        embedded.socket_dir().display()
    ))?;
    // A read error ends stdin too.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let stop = embedded.stop().map_err(embedded_failure)?;
    output::line(&format!("{stop:?}"))
}
