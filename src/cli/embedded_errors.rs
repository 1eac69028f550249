//! Errors of the embedded PostgreSQL, with the setting that solves them.

use embedded_postgres::{EmbeddedError, RelatedOption};

use crate::error::{CliError, CliErrorKind};

pub(super) fn embedded_failure(error: EmbeddedError) -> CliError {
    let message = match hint(&error) {
        Some(hint) => format!("{error}\nhint: {hint}"),
        None => error.to_string(),
    };
    CliError::new(CliErrorKind::Unavailable, message)
}

fn hint(error: &EmbeddedError) -> Option<String> {
    if let EmbeddedError::MajorNotInstalled { data, .. } = error {
        return Some(format!(
            "to move the data: run skillkeep with the old version, \
             `pg_dumpall -h SOCKET_FOLDER -U skillkeep_superuser > all.sql` (`skillkeep doctor` prints the folder), stop skillkeep, \
             rename {}, set SKILLKEEP_PG_BIN to the programs of the new version, start skillkeep, and \
             `psql -h SOCKET_FOLDER -U skillkeep_superuser -d postgres -f all.sql`",
            data.display()
        ));
    }
    error.related_option().map(|option| {
        match option {
            RelatedOption::DataDir => {
                "SKILLKEEP_DATA_DIR (--data-dir) chooses the data folder, for example /var/lib/skillkeep for root"
            }
            RelatedOption::PgBin => {
                "SKILLKEEP_PG_BIN (--pg-bin) names the folder with `initdb` and `postgres`; \
                 DATABASE_URL (--database-url) uses a database that runs elsewhere"
            }
        }
        .to_owned()
    })
}
