//! The schema's numbered migrations, built into the program.
//!
//! A migration is never edited once landed: its checksum is kept in the database, and a difference is refused.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::DbError;

struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

macro_rules! migrations {
    ($($version:literal $name:literal),+ $(,)?) => {
        &[$(Migration {
            version: $version,
            name: $name,
            sql: include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/sql/migrations/", $name, ".sql")),
        }),+]
    };
}

static MIGRATIONS: &[Migration] = migrations![
    1 "0001_roles",
    2 "0002_tenants",
    3 "0003_registry",
    4 "0004_usage",
    5 "0005_audit",
    6 "0006_row_level_security",
    7 "0007_default_tenant",
    8 "0008_catalogue_changes",
    9 "0009_limits_and_erasure",
    10 "0010_the_end_of_a_tenant",
];

/// Where the applied migrations are kept. No tenant's data, so no policy; the server reads it at its start.
const LEDGER: &str = "CREATE TABLE IF NOT EXISTS skillkeep_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);";

const LEDGER_GRANT: &str = "GRANT SELECT ON skillkeep_migrations TO skillkeep_app, skillkeep_admin;";

/// A schema named as the owner would otherwise take the tables in.
const SET_SEARCH_PATH: &str = "SET search_path = public, pg_temp";

/// Nobody but the owner needs temporary tables, and what one tenant's work leaves in them the connection's next would find.
/// A role that does not own the database may not say so, and migrates all the same.
const NO_TEMPORARY_TABLES: &str = "DO $temporary$ BEGIN
    IF pg_catalog.pg_has_role(current_user, (SELECT datdba FROM pg_catalog.pg_database
                                             WHERE datname = current_database()), 'USAGE') THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;
END $temporary$;
";

/// Any number that other programs in the same database are unlikely to lock: "skillkee" in ASCII.
const LOCK: i64 = 0x736b_696c_6c6b_6565;

/// Why the schema is not what this program needs.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    /// The database was never migrated.
    #[error("the database holds no skillkeep schema; run `skillkeep migrate` with the owner's DATABASE_URL")]
    Missing,
    /// The schema is behind the program.
    #[error(
        "the database's schema is version {found}, this skillkeep needs {wanted}; run `skillkeep migrate` with the owner's DATABASE_URL"
    )]
    Older {
        /// The database's version.
        found: i32,
        /// The program's version.
        wanted: i32,
    },
    /// The schema is ahead of the program.
    #[error(
        "the database's schema is version {found}, newer than the {wanted} that this skillkeep knows; install the newer skillkeep"
    )]
    Newer {
        /// The database's version.
        found: i32,
        /// The program's version.
        wanted: i32,
    },
    /// A migration was edited after it had been applied.
    #[error(
        "migration {name} differs from the one that was applied to this database; use the skillkeep that applied it, or restore the file"
    )]
    Edited {
        /// The migration's name.
        name: String,
    },
    /// The database belongs to something else.
    #[error(
        "this database already holds tables that are not skillkeep's (for example \"{table}\"); give skillkeep a database of its own"
    )]
    Foreign {
        /// One of them.
        table: String,
    },
    /// The role may not do what the migrations need.
    #[error(
        "the role of DATABASE_URL may not set up the schema ({reason}); use the database's owner with the right to create roles, or give `skillkeep migrate --print` to your database administrator"
    )]
    NotAllowed {
        /// What PostgreSQL said; it names our own objects only.
        reason: String,
    },
    /// PostgreSQL is too old.
    #[error("PostgreSQL {found} is too old; skillkeep needs 15 or newer")]
    ServerTooOld {
        /// The server's major version.
        found: i32,
    },
    /// The database did not answer.
    #[error(transparent)]
    Db(#[from] DbError),
}

impl From<tokio_postgres::Error> for SchemaError {
    fn from(error: tokio_postgres::Error) -> Self {
        match error.as_db_error() {
            Some(db) if *db.code() == SqlState::INSUFFICIENT_PRIVILEGE => Self::NotAllowed {
                reason: db.message().to_owned(),
            },
            Some(_) | None => Self::Db(DbError::Statement(error)),
        }
    }
}

/// The newest migration's number: the schema version that this program works with.
#[must_use]
pub fn wanted_version() -> i32 {
    MIGRATIONS.last().map_or(0, |m| m.version)
}

fn checksum(sql: &str) -> Vec<u8> {
    Sha256::digest(sql.as_bytes()).to_vec()
}

/// Applies what is missing, one transaction a migration; answers the names of what it applied.
///
/// # Errors
/// When an applied migration was edited, the database is not ours, or the role lacks a right.
pub async fn apply(client: &mut Client) -> Result<Vec<&'static str>, SchemaError> {
    require_version_15(client).await?;
    // Two programs that start at once would both find the same migration missing. The lock is the session's, not
    // a transaction's, because each migration commits by itself.
    client.execute("SELECT pg_advisory_lock($1)", &[&LOCK]).await?;
    client.batch_execute(SET_SEARCH_PATH).await?;
    let outcome = apply_locked(client).await;
    client.execute("SELECT pg_advisory_unlock($1)", &[&LOCK]).await?;
    outcome
}

async fn apply_locked(client: &mut Client) -> Result<Vec<&'static str>, SchemaError> {
    if !ledger_exists(client).await? {
        if let Some(row) = client
            .query_opt(
                "SELECT tablename FROM pg_catalog.pg_tables WHERE schemaname = 'public' ORDER BY 1 LIMIT 1",
                &[],
            )
            .await?
        {
            return Err(SchemaError::Foreign {
                table: row.try_get("tablename")?,
            });
        }
        client.batch_execute(LEDGER).await?;
    }
    let applied = applied(client).await?;
    refuse_other_versions(&applied, true)?;
    let mut names = Vec::new();
    for migration in MIGRATIONS
        .iter()
        .filter(|m| !applied.iter().any(|(version, ..)| *version == m.version))
    {
        let tx = client.transaction().await?;
        tx.batch_execute(migration.sql).await?;
        if migration.version == 1 {
            tx.batch_execute(LEDGER_GRANT).await?;
        }
        tx.execute(
            "INSERT INTO public.skillkeep_migrations (version, name, checksum) VALUES ($1, $2, $3)",
            &[&migration.version, &migration.name, &checksum(migration.sql)],
        )
        .await?;
        tx.commit().await?;
        names.push(migration.name);
    }
    if !names.is_empty() {
        client.batch_execute(NO_TEMPORARY_TABLES).await?;
    }
    Ok(names)
}

async fn require_version_15(client: &Client) -> Result<(), SchemaError> {
    let row = client
        .query_one(
            "SELECT current_setting('server_version_num')::integer / 10000 AS major",
            &[],
        )
        .await?;
    let found: i32 = row.try_get("major")?;
    if found < 15 {
        Err(SchemaError::ServerTooOld { found })
    } else {
        Ok(())
    }
}

async fn ledger_exists(client: &Client) -> Result<bool, SchemaError> {
    let row = client
        .query_one(
            "SELECT to_regclass('public.skillkeep_migrations') IS NOT NULL AS found",
            &[],
        )
        .await?;
    Ok(row.try_get("found")?)
}

async fn applied(client: &Client) -> Result<Vec<(i32, String, Vec<u8>)>, SchemaError> {
    let rows = client
        .query(
            "SELECT version, name, checksum FROM public.skillkeep_migrations ORDER BY version",
            &[],
        )
        .await?;
    rows.iter()
        .map(|row| {
            Ok((
                row.try_get("version")?,
                row.try_get("name")?,
                row.try_get("checksum")?,
            ))
        })
        .collect()
}

fn refuse_other_versions(applied: &[(i32, String, Vec<u8>)], may_be_older: bool) -> Result<(), SchemaError> {
    let wanted = wanted_version();
    let found = applied.last().map_or(0, |(version, ..)| *version);
    if found > wanted {
        return Err(SchemaError::Newer { found, wanted });
    }
    for migration in MIGRATIONS {
        match applied.iter().find(|(version, ..)| *version == migration.version) {
            Some((.., sum)) if *sum == checksum(migration.sql) => {}
            Some((_, name, _)) => return Err(SchemaError::Edited { name: name.clone() }),
            None if may_be_older => {}
            None if found == 0 => return Err(SchemaError::Missing),
            None => return Err(SchemaError::Older { found, wanted }),
        }
    }
    Ok(())
}

/// Refuses a database whose schema is not exactly the one that this program was built with.
///
/// # Errors
/// Says which command mends it.
pub async fn check(client: &Client) -> Result<(), SchemaError> {
    require_version_15(client).await?;
    if !ledger_exists(client).await? {
        return Err(SchemaError::Missing);
    }
    refuse_other_versions(&applied(client).await?, false)
}

/// All migrations as one script for a database administrator, who runs it as the owner with `psql`.
#[must_use]
pub fn print() -> String {
    let mut script = String::from(
        "-- The schema of skillkeep, for an empty database. Run it as the database's owner:\n\
         --   psql --set ON_ERROR_STOP=1 --file this.sql DATABASE\n\
         BEGIN;\n",
    );
    script.push_str(SET_SEARCH_PATH);
    script.push_str(";\n");
    script.push_str(LEDGER);
    script.push('\n');
    for migration in MIGRATIONS {
        let grant = if migration.version == 1 { LEDGER_GRANT } else { "" };
        let sum = checksum(migration.sql)
            .iter()
            .fold(String::new(), |mut hex, byte| {
                // Writing to a String cannot fail.
                let _ = write!(hex, "{byte:02x}");
                hex
            });
        let _ = writeln!(
            script,
            "\n-- {name}\n{sql}\n{grant}\nINSERT INTO skillkeep_migrations (version, name, checksum) \
             VALUES ({version}, '{name}', '\\x{sum}');",
            name = migration.name,
            sql = migration.sql,
            version = migration.version,
        );
    }
    script.push_str(NO_TEMPORARY_TABLES);
    script.push_str("COMMIT;\n");
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn migrations_are_numbered_without_a_gap() {
        for (position, migration) in MIGRATIONS.iter().enumerate() {
            assert_eq!(usize::try_from(migration.version).unwrap(), position + 1);
            assert!(
                migration.name.starts_with(&format!("{:04}_", migration.version)),
                "{}",
                migration.name
            );
        }
    }

    #[test]
    fn the_schema_gate_tells_older_newer_and_edited_apart() {
        let all: Vec<_> = MIGRATIONS
            .iter()
            .map(|m| (m.version, m.name.to_owned(), checksum(m.sql)))
            .collect();
        assert!(refuse_other_versions(&all, false).is_ok());
        assert!(matches!(
            refuse_other_versions(&[], false),
            Err(SchemaError::Missing)
        ));
        assert!(matches!(
            refuse_other_versions(&all[..2], false),
            Err(SchemaError::Older { found: 2, .. })
        ));
        let mut newer = all.clone();
        newer.push((wanted_version() + 1, "from the future".to_owned(), vec![]));
        assert!(matches!(
            refuse_other_versions(&newer, false),
            Err(SchemaError::Newer { .. })
        ));
        let mut edited = all;
        edited[3].2 = checksum("edited");
        assert!(matches!(
            refuse_other_versions(&edited, true),
            Err(SchemaError::Edited { .. })
        ));
    }
}
