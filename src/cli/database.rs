//! The database behind a run: the one that `DATABASE_URL` names, or our own.

use std::path::PathBuf;

use super::embedded_errors::embedded_failure;
use crate::config::Config;
use crate::db::migrations::{self, SchemaError};
use crate::db::provision::{Provisioned, provision};
use crate::db::{AdminDb, DatabaseUrl, DbError, ServerDb, TenantTx, isolation_checks};
use crate::error::{CliError, CliErrorKind};
use crate::registry::audit::Actor;
use crate::tenancy::api_keys::KeyError;
use crate::tenancy::tenants::{self, Tenant};
use embedded_postgres::{self, Embedded, EmbeddedOptions};

/// The ways into the database, and what keeps it running.
pub(super) struct Database {
    ways: Provisioned,
    embedded: Option<Embedded>,
}

impl Database {
    /// Reaches the database that is configured. Our own is started, and its schema brought up to date.
    pub(super) async fn open(config: &Config) -> Result<Self, CliError> {
        if let Some(url) = &config.database_url {
            let url: DatabaseUrl = url
                .reveal()
                .parse()
                .map_err(|words: String| CliError::new(CliErrorKind::Usage, words))?;
            let ways = Provisioned {
                server: url.clone(),
                admin: url.clone(),
                owner: url,
            };
            return Ok(Self { ways, embedded: None });
        }
        let options = embedded_options(config)?;
        let embedded = tokio::task::spawn_blocking(move || Embedded::start(&options))
            .await
            .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()))?
            .map_err(embedded_failure)?;
        let mut settings = tokio_postgres::Config::new();
        settings
            .host_path(embedded.socket_dir())
            .port(5432)
            .user(embedded.superuser())
            .dbname("postgres");
        let ways = provision(&DatabaseUrl::from_config(settings))
            .await
            .map_err(schema_failure)?;
        Ok(Self {
            ways,
            embedded: Some(embedded),
        })
    }

    /// The way in for migrations.
    pub(super) const fn owner(&self) -> &DatabaseUrl {
        &self.ways.owner
    }

    /// The way in for the operator, for whoever opens connections of his own.
    pub(super) const fn admin_url(&self) -> &DatabaseUrl {
        &self.ways.admin
    }

    /// The folder of our own database's socket, for `psql` and `pg_dumpall`.
    pub(super) fn socket_folder(&self) -> Option<PathBuf> {
        self.embedded
            .as_ref()
            .map(|embedded| embedded.socket_dir().to_path_buf())
    }

    /// Whether skillkeep runs the database itself.
    pub(super) const fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// The way in for the operator, with the right schema.
    pub(super) async fn admin(&self) -> Result<AdminDb, CliError> {
        let db = AdminDb::new(&self.ways.admin).map_err(db_failure)?;
        let connection = db.system_connection().await.map_err(admin_failure)?;
        migrations::check(&connection).await.map_err(schema_failure)?;
        Ok(db)
    }

    /// The way in for the server, with the right schema and with every wall in place.
    pub(super) async fn server(&self, connections: usize) -> Result<ServerDb, CliError> {
        let db = ServerDb::new(&self.ways.server, connections).map_err(db_failure)?;
        migrations::check(&*db.pg_catalog().await.map_err(db_failure)?)
            .await
            .map_err(schema_failure)?;
        // First the partitions: the guard asks for those of the months ahead.
        db.ensure_usage_partitions().await.map_err(db_failure)?;
        let findings: Vec<String> = isolation_checks::check_server(&db)
            .await
            .map_err(db_failure)?
            .into_iter()
            .flat_map(|check| check.findings)
            .collect();
        if findings.is_empty() {
            return Ok(db);
        }
        let list = findings.join("; ");
        Err(CliError::new(
            CliErrorKind::Refused,
            format!(
                "the walls between tenants are not in place, so nothing is served: {list}. `skillkeep doctor` shows more"
            ),
        ))
    }

    /// The way in for the server, for whoever checks the walls himself.
    pub(super) fn server_unchecked(&self) -> Result<ServerDb, CliError> {
        ServerDb::new(&self.ways.server, 2).map_err(db_failure)
    }

    /// Leaves the database; our own stops when its last user leaves.
    pub(super) async fn close(self) {
        if let Some(embedded) = self.embedded {
            match tokio::task::spawn_blocking(move || embedded.stop()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "the database could not be left in good order"),
                Err(error) => tracing::warn!(%error, "the database could not be left in good order"),
            }
        }
    }
}

/// Names the embedded cluster's superuser, `skillkeep_superuser`.
pub(super) const APP_NAME: &str = "skillkeep";

pub(super) fn embedded_options(config: &Config) -> Result<EmbeddedOptions, CliError> {
    let variable = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    let folder = |name: &str| variable(name).map(PathBuf::from);
    let (home, data_home) = (folder("HOME"), folder("XDG_DATA_HOME"));
    let data_dir = match &config.data_dir {
        Some(data_dir) => std::path::absolute(data_dir).map_err(|error| {
            CliError::new(
                CliErrorKind::Usage,
                format!("SKILLKEEP_DATA_DIR is not a path: {error}"),
            )
        })?,
        None => {
            embedded_postgres::default_data_dir(APP_NAME, home.as_deref(), data_home.as_deref()).ok_or_else(|| {
                CliError::new(
                    CliErrorKind::Usage,
                    "there is no home folder; say where to keep the data with SKILLKEEP_DATA_DIR",
                )
            })?
        }
    };
    let program = std::env::current_exe().map_err(|error| {
        CliError::new(
            CliErrorKind::Internal,
            format!("skillkeep cannot find its own program: {error}"),
        )
    })?;
    Ok(EmbeddedOptions {
        app_name: APP_NAME.to_owned(),
        data_dir,
        pg_bin: config.pg_bin.clone(),
        program,
        supervisor_args: vec!["postgres-supervise".into()],
        search_path: variable("PATH"),
        runtime_dir: folder("XDG_RUNTIME_DIR"),
    })
}

/// The tenant that `--tenant` names. One that was erased is refused: nothing may be added to it.
pub(super) async fn tenant(db: &AdminDb, slug: &str) -> Result<Tenant, CliError> {
    let tenant = find_including_erased(db, slug).await?;
    if tenant.status == "erased" {
        return Err(erased(slug));
    }
    Ok(tenant)
}

pub(super) fn erased(slug: &str) -> CliError {
    let words = format!("{slug} was erased; of it there is only the audit log");
    CliError::new(CliErrorKind::Refused, words)
}

async fn find_including_erased(db: &AdminDb, slug: &str) -> Result<Tenant, CliError> {
    tenants::find(db, slug).await.map_err(db_failure)?.ok_or_else(|| {
        let words = format!("there is no tenant \"{slug}\"; `skillkeep tenant list` shows the tenants");
        CliError::new(CliErrorKind::NotFound, words)
    })
}

/// Begins work on the tenant that `--tenant` names, which is not erased before that work is done.
pub(super) async fn tenant_tx(db: &AdminDb, slug: &str) -> Result<TenantTx, CliError> {
    let tenant = tenant(db, slug).await?;
    let tx = TenantTx::begin_as_admin(db, tenant.id)
        .await
        .map_err(db_failure)?;
    // It may have been erased since it was looked up.
    if tenants::lock_key_share(&tx).await.map_err(db_failure)? {
        Ok(tx)
    } else {
        Err(erased(slug))
    }
}

/// Begins to read the audit log of a tenant, which is there even when the tenant was erased.
pub(super) async fn audit_tx(db: &AdminDb, slug: &str) -> Result<TenantTx, CliError> {
    let tenant = find_including_erased(db, slug).await?;
    TenantTx::begin_as_admin(db, tenant.id).await.map_err(db_failure)
}

/// The person at the command line, for the audit log.
pub(super) fn operator() -> Actor {
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::current())
        .ok()
        .flatten()
        .map_or_else(
            || format!("uid {}", nix::unistd::Uid::current()),
            |user| user.name,
        );
    Actor::Operator(name)
}

pub(super) fn db_failure(error: DbError) -> CliError {
    if error.is_without_tenant() {
        return CliError::new(
            CliErrorKind::Refused,
            "the tenant was erased meanwhile; of it there is only the audit log",
        );
    }
    let kind = if error.is_unavailable() {
        CliErrorKind::Unavailable
    } else {
        CliErrorKind::Internal
    };
    match error.sql_state() {
        Some(state) if state.code().starts_with("28") || state.code() == "3D000" => CliError::new(
            CliErrorKind::Unavailable,
            format!("{error}; check role, password and database in DATABASE_URL"),
        ),
        Some(_) | None => CliError::new(kind, error.to_string()),
    }
}

/// A role that is no administrator cannot become one.
fn admin_failure(error: DbError) -> CliError {
    match error.sql_state() {
        Some(state) if state.code() == "42501" => CliError::new(
            CliErrorKind::Refused,
            "the role of DATABASE_URL may not administer the registry; use the schema's owner or skillkeep_admin",
        ),
        // The role skillkeep_admin does not exist: this cluster was never migrated.
        Some(state) if matches!(state.code(), "42704" | "22023") => schema_failure(SchemaError::Missing),
        Some(_) | None => db_failure(error),
    }
}

pub(super) fn schema_failure(error: SchemaError) -> CliError {
    match error {
        SchemaError::Db(error) => db_failure(error),
        SchemaError::NotAllowed { .. } => CliError::new(CliErrorKind::Refused, error.to_string()),
        SchemaError::Missing
        | SchemaError::Older { .. }
        | SchemaError::Newer { .. }
        | SchemaError::Edited { .. }
        | SchemaError::Foreign { .. }
        | SchemaError::ServerTooOld { .. } => CliError::new(CliErrorKind::Schema, error.to_string()),
    }
}

pub(super) fn key_failure(error: KeyError) -> CliError {
    match error {
        KeyError::NotFound => CliError::new(CliErrorKind::NotFound, error.to_string()),
        KeyError::Ended(_) => CliError::new(CliErrorKind::Refused, error.to_string()),
        KeyError::Db(error) => db_failure(error),
    }
}
