//! The schema's numbered migrations, built into the program.
//!
//! A released migration is never edited: the database keeps its checksum, and a difference is an error. The first ten are
//! the baseline, in which each table and function is defined once.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};
use tokio_postgres::Client;
use tokio_postgres::error::SqlState;

use super::DbError;

/// One migration: a file of `sql/migrations`.
#[derive(Debug, Clone, Copy)]
pub struct Migration {
    /// 1 for the first migration, then increased by 1.
    pub version: i32,
    /// The file's name without `.sql`.
    pub name: &'static str,
    pub sql: &'static str,
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

/// Every migration, in order.
pub static MIGRATIONS: &[Migration] = migrations![
    1 "0001_roles",
    2 "0002_tenants",
    3 "0003_users_and_api_keys",
    4 "0004_skills",
    5 "0005_usage",
    6 "0006_audit",
    7 "0007_retention_and_erasure",
    8 "0008_row_level_security",
    9 "0009_privileges",
    10 "0010_default_tenant",
    11 "0011_lifecycle",
    12 "0012_edges",
    13 "0013_least_rights",
    14 "0014_storage",
    15 "0015_signatures",
    16 "0016_denylist_and_installs",
    17 "0017_secret_paths",
    18 "0018_search_index",
    19 "0019_usage_days",
    20 "0020_embeddings",
    21 "0021_segment_merges",
    22 "0022_plugin_digests",
];

/// The table of applied migrations. It holds no tenant's data, so it has no policy; the server reads it at startup.
const CREATE_LEDGER: &str = "CREATE TABLE IF NOT EXISTS skillkeep_migrations (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum bytea NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);";

const GRANT_LEDGER: &str = "GRANT SELECT ON skillkeep_migrations TO skillkeep_app, skillkeep_admin;";

/// Without it, the tables would be created in a schema named like the owner, if there is one.
const SET_SEARCH_PATH: &str = "SET search_path = public, pg_temp";

/// Temporary tables outlive a transaction, so the next tenant served by the connection could read them. Only the database's
/// owner may revoke the privilege; another role migrates without doing so.
const REVOKE_TEMPORARY_TABLES: &str = "DO $temporary$ BEGIN
    IF pg_catalog.pg_has_role(current_user, (SELECT datdba FROM pg_catalog.pg_database
                                             WHERE datname = current_database()), 'USAGE') THEN
        EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
    END IF;
END $temporary$;
";

/// Key of the advisory lock: "skillkee" in ASCII, which other programs are unlikely to use.
const ADVISORY_LOCK: i64 = 0x736b_696c_6c6b_6565;

/// Why the database's schema cannot be used or migrated. Each message names the command that fixes it.
#[derive(Debug, thiserror::Error)]
pub enum SchemaError {
    #[error("the database has no skillkeep schema; run `skillkeep migrate` with the owner's DATABASE_URL")]
    Missing,
    #[error(
        "the database's schema is version {found}, but this skillkeep needs version {wanted}; run `skillkeep migrate` with the owner's DATABASE_URL"
    )]
    Older { found: i32, wanted: i32 },
    #[error(
        "the database's schema is version {found}, newer than version {wanted} of this skillkeep; install a newer skillkeep"
    )]
    Newer { found: i32, wanted: i32 },
    /// The text of an applied migration has another checksum than this program's.
    #[error(
        "migration {name} differs from the one that was applied to this database; use the skillkeep version that applied it"
    )]
    Edited { name: String },
    /// The database has tables but no schema of skillkeep.
    #[error(
        "this database contains tables of another application (for example \"{table}\"); give skillkeep its own database"
    )]
    Foreign { table: String },
    #[error(
        "the role of DATABASE_URL may not create the schema ({reason}); use the database's owner with CREATEROLE, or give the output of `skillkeep migrate --print` to your database administrator"
    )]
    NotAllowed {
        /// PostgreSQL's message, which names objects of the schema only.
        reason: String,
    },
    /// The schema's functions would run with this role's privileges, which no policy binds.
    #[error(
        "the role {role} of DATABASE_URL is a superuser or has BYPASSRLS, so row level security would not bind the schema's owner; nothing was changed: create a role with LOGIN and CREATEROLE only, make it the owner of the database (ALTER DATABASE ... OWNER TO), and migrate as that role"
    )]
    UnboundOwner { role: String },
    #[error("PostgreSQL {found} is too old; skillkeep needs PostgreSQL 15 or newer")]
    ServerTooOld {
        /// The server's major version.
        found: i32,
    },
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

/// The schema version that this program needs: the version of its last migration.
#[must_use]
pub fn required_version() -> i32 {
    last_version(MIGRATIONS)
}

fn last_version(migrations: &[Migration]) -> i32 {
    migrations.last().map_or(0, |migration| migration.version)
}

fn checksum(sql: &str) -> Vec<u8> {
    Sha256::digest(sql.as_bytes()).to_vec()
}

/// Applies the missing migrations, each in its own transaction; returns their names.
///
/// # Errors
/// An applied migration has another checksum, the schema is newer, the database has tables of another application, the role
/// lacks a privilege, or the database is unavailable. Migrations applied before the error stay.
pub async fn apply(client: &mut Client) -> Result<Vec<&'static str>, SchemaError> {
    apply_list(client, MIGRATIONS).await
}

/// As [`apply`], with another list than the program's own. Tests use it to upgrade to a version that does not exist yet.
///
/// # Errors
/// As [`apply`].
pub async fn apply_list(
    client: &mut Client,
    migrations: &[Migration],
) -> Result<Vec<&'static str>, SchemaError> {
    require_version_15(client).await?;
    // Two programs that start at the same time would otherwise both apply the same migration. A session-level lock,
    // because each migration has its own transaction.
    client
        .execute("SELECT pg_advisory_lock($1)", &[&ADVISORY_LOCK])
        .await?;
    client.batch_execute(SET_SEARCH_PATH).await?;
    let applied = apply_locked(client, migrations).await;
    client
        .execute("SELECT pg_advisory_unlock($1)", &[&ADVISORY_LOCK])
        .await?;
    applied
}

async fn apply_locked(
    client: &mut Client,
    migrations: &[Migration],
) -> Result<Vec<&'static str>, SchemaError> {
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
        client.batch_execute(CREATE_LEDGER).await?;
    }
    let applied = applied(client).await?;
    compare_versions(migrations, &applied, Older::Allowed)?;
    let mut names = Vec::new();
    for migration in migrations
        .iter()
        .filter(|m| !applied.iter().any(|(version, ..)| *version == m.version))
    {
        let tx = client.transaction().await?;
        tx.batch_execute(migration.sql).await?;
        if migration.version == 1 {
            tx.batch_execute(GRANT_LEDGER).await?;
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
        client.batch_execute(REVOKE_TEMPORARY_TABLES).await?;
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

/// Whether [`compare_versions`] accepts a schema with fewer migrations than the program.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Older {
    Allowed,
    Rejected,
}

fn compare_versions(
    migrations: &[Migration],
    applied: &[(i32, String, Vec<u8>)],
    older: Older,
) -> Result<(), SchemaError> {
    let wanted = last_version(migrations);
    let found = applied.last().map_or(0, |(version, ..)| *version);
    if found > wanted {
        return Err(SchemaError::Newer { found, wanted });
    }
    for migration in migrations {
        match applied.iter().find(|(version, ..)| *version == migration.version) {
            Some((.., sum)) if *sum == checksum(migration.sql) => {}
            Some((_, name, _)) => return Err(SchemaError::Edited { name: name.clone() }),
            None if older == Older::Allowed => {}
            None if found == 0 => return Err(SchemaError::Missing),
            None => return Err(SchemaError::Older { found, wanted }),
        }
    }
    Ok(())
}

/// Checks that the applied migrations are exactly those of this program.
///
/// # Errors
/// The schema is missing, older, newer or edited, or the database is unavailable.
pub async fn check(client: &Client) -> Result<(), SchemaError> {
    require_version_15(client).await?;
    if !ledger_exists(client).await? {
        return Err(SchemaError::Missing);
    }
    compare_versions(MIGRATIONS, &applied(client).await?, Older::Rejected)
}

/// Returns all migrations as one script, which a database administrator runs with `psql` as the database's owner.
#[must_use]
pub fn print() -> String {
    let mut script = String::from(
        "-- The schema of skillkeep, for an empty database. Run it as the database's owner:\n\
         --   psql --set ON_ERROR_STOP=1 --file this.sql DATABASE\n\
         BEGIN;\n",
    );
    script.push_str(SET_SEARCH_PATH);
    script.push_str(";\n");
    script.push_str(CREATE_LEDGER);
    script.push('\n');
    for migration in MIGRATIONS {
        let grant = if migration.version == 1 { GRANT_LEDGER } else { "" };
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
    script.push_str(REVOKE_TEMPORARY_TABLES);
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
    fn missing_older_newer_and_edited_schemas_are_distinguished() {
        let all: Vec<_> = MIGRATIONS
            .iter()
            .map(|m| (m.version, m.name.to_owned(), checksum(m.sql)))
            .collect();
        assert!(compare_versions(MIGRATIONS, &all, Older::Rejected).is_ok());
        assert!(matches!(
            compare_versions(MIGRATIONS, &[], Older::Rejected),
            Err(SchemaError::Missing)
        ));
        assert!(matches!(
            compare_versions(MIGRATIONS, &all[..2], Older::Rejected),
            Err(SchemaError::Older { found: 2, .. })
        ));
        let mut newer = all.clone();
        newer.push((required_version() + 1, "later".to_owned(), vec![]));
        assert!(matches!(
            compare_versions(MIGRATIONS, &newer, Older::Rejected),
            Err(SchemaError::Newer { .. })
        ));
        let mut edited = all;
        edited[3].2 = checksum("edited");
        assert!(matches!(
            compare_versions(MIGRATIONS, &edited, Older::Allowed),
            Err(SchemaError::Edited { .. })
        ));
    }
}
