//! `skillkeep postgres-watch`, the parent of the embedded PostgreSQL, which skillkeep starts and never a person; and
//! `skillkeep postgres-hold`, which only uses the database until its stdin ends, to see what is left when it is killed.

use std::io::Read as _;
use std::process::ExitCode;

use super::{database, output};
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};
use embedded_postgres::{Embedded, SuperviseOptions, supervise};

/// Takes `--data-dir` and `--pg-bin` of every subcommand, both real paths here.
pub(super) fn run(config: Config) -> Result<(), CliError> {
    let (Some(data_dir), Some(pg_bin)) = (config.data_dir, config.pg_bin) else {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "postgres-watch needs --data-dir and --pg-bin",
        ));
    };
    if supervise(&SuperviseOptions { data_dir, pg_bin }) == ExitCode::SUCCESS {
        Ok(())
    } else {
        Err(CliError::new(
            CliErrorKind::Unavailable,
            "the embedded PostgreSQL could not be watched over",
        ))
    }
}

/// Says how the database came to run and where its socket is, waits for the end of stdin, leaves, and says how that ended.
pub(super) fn hold(config: &Config) -> Result<(), CliError> {
    let embedded =
        Embedded::start(&database::embedded_options(config)?).map_err(database::embedded_failure)?;
    output::line(&format!(
        "ready {:?} {}",
        embedded.outcome(),
        embedded.socket_dir().display()
    ))?;
    // However stdin ends, it has ended.
    let _ = std::io::stdin().read_to_end(&mut Vec::new());
    let stop = embedded.stop().map_err(database::embedded_failure)?;
    output::line(&format!("{stop:?}"))
}
