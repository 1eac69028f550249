//! The database of a command: the one that `DATABASE_URL` names, or the embedded one.

use std::path::PathBuf;

use super::embedded_errors::embedded_failure;
use super::signing_keys;
use crate::config::Config;
use crate::db::migrations::{self, SchemaError};
use crate::db::provision::{DatabaseUrls, provision};
use crate::db::{AdminDb, DatabaseUrl, DbError, ServerDb, TenantTx, isolation_checks, shares_sessions};
use crate::error::{CliError, CliErrorKind};
use crate::registry::audit::Actor;
use crate::registry::caller::Caller;
use crate::registry::private_keys::SigningKeys;
use crate::tenancy::api_keys::KeyError;
use crate::tenancy::tenants::{self, Tenant};
use embedded_postgres::{self, Embedded, EmbeddedOptions};

const SHARED_SESSIONS: &str = "DATABASE_URL leads to a connection pooler that gives each transaction another session, as PgBouncer does with pool_mode = transaction; skillkeep needs sessions of its own: set pool_mode = session for this database, or connect to PostgreSQL directly";

/// The URLs of the database by role, and the embedded server, if any.
pub(super) struct Database {
    urls: DatabaseUrls,
    embedded: Option<Embedded>,
    signing_keys: SigningKeys,
}

impl Database {
    /// Opens the configured database. Starts the embedded one and brings its schema up to date.
    pub(super) async fn open(config: &Config) -> Result<Self, CliError> {
        let signing_keys = signing_keys::configured(config)?;
        if let Some(url) = &config.database_url {
            let url: DatabaseUrl = url
                .reveal()
                .parse()
                .map_err(|message: String| CliError::new(CliErrorKind::Usage, message))?;
            if shares_sessions(&url).await.map_err(db_failure)? {
                return Err(CliError::new(CliErrorKind::Refused, SHARED_SESSIONS));
            }
            let urls = DatabaseUrls {
                server: url.clone(),
                admin: url.clone(),
                owner: url,
            };
            return Ok(Self {
                urls,
                embedded: None,
                signing_keys,
            });
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
        let urls = provision(&DatabaseUrl::from_config(settings))
            .await
            .map_err(schema_failure)?;
        Ok(Self {
            urls,
            embedded: Some(embedded),
            signing_keys,
        })
    }

    /// Opens the configured database, runs an administrative command on it and closes it.
    pub(super) async fn with_admin(
        config: &Config,
        run: impl AsyncFnOnce(&AdminDb) -> Result<(), CliError>,
    ) -> Result<(), CliError> {
        let database = Self::open(config).await?;
        let outcome = match database.admin().await {
            Ok(db) => run(&db).await,
            Err(error) => Err(error),
        };
        database.close().await;
        outcome
    }

    /// The private keys of this process, for the service that signs.
    pub(super) fn signing_keys(&self) -> SigningKeys {
        self.signing_keys.clone()
    }

    /// For migrations.
    pub(super) const fn owner(&self) -> &DatabaseUrl {
        &self.urls.owner
    }

    /// For code that opens its own connections as the admin.
    pub(super) const fn admin_url(&self) -> &DatabaseUrl {
        &self.urls.admin
    }

    /// The socket folder of the embedded database, for `psql` and `pg_dumpall`.
    pub(super) fn socket_folder(&self) -> Option<PathBuf> {
        self.embedded
            .as_ref()
            .map(|embedded| embedded.socket_dir().to_path_buf())
    }

    pub(super) const fn is_embedded(&self) -> bool {
        self.embedded.is_some()
    }

    /// Connects as the admin. Fails if the schema version does not match.
    pub(super) async fn admin(&self) -> Result<AdminDb, CliError> {
        let db = AdminDb::new(&self.urls.admin).map_err(db_failure)?;
        let connection = db.system_connection().await.map_err(admin_failure)?;
        migrations::check(&connection).await.map_err(schema_failure)?;
        Ok(db)
    }

    /// Connects as the server. Fails if the schema version does not match or a tenant isolation check fails.
    pub(super) async fn server(&self, connections: usize) -> Result<ServerDb, CliError> {
        let db = ServerDb::new(&self.urls.server, connections).map_err(db_failure)?;
        let db = if self.is_embedded() {
            let cores = std::thread::available_parallelism().map_or(1, usize::from);
            db.with_tenant_connections(CONNECTIONS_PER_CORE * cores)
        } else {
            db
        };
        migrations::check(&*db.pg_catalog().await.map_err(db_failure)?)
            .await
            .map_err(schema_failure)?;
        // Before the checks, which need the partitions of the coming months.
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
                "tenant isolation checks failed, refusing to start: {list}; run `skillkeep doctor` for details"
            ),
        ))
    }

    /// Connects as the server without checking schema and isolation, for `doctor`.
    pub(super) fn server_unchecked(&self) -> Result<ServerDb, CliError> {
        ServerDb::new(&self.urls.server, 2).map_err(db_failure)
    }

    /// Leaves the database. The embedded one stops when its last client leaves.
    pub(super) async fn close(self) {
        if let Some(embedded) = self.embedded {
            match tokio::task::spawn_blocking(move || embedded.stop()).await {
                Ok(Ok(_)) => {}
                Ok(Err(error)) => tracing::warn!(%error, "cannot leave the embedded database"),
                Err(error) => tracing::warn!(%error, "cannot leave the embedded database"),
            }
        }
    }
}

/// Connections to the embedded database that one tenant can hold, per core of the machine. Measured on two cores: 40
/// connections of one tenant that send small calls make another's slowest calls 1.6 times as slow with 4 connections, 3.1 times with
/// 6, and 3.3 to 6.2 times with 12.
const CONNECTIONS_PER_CORE: usize = 2;

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
                format!("SKILLKEEP_DATA_DIR is not a valid path: {error}"),
            )
        })?,
        None => embedded_postgres::default_data_dir(APP_NAME, home.as_deref(), data_home.as_deref())
            .ok_or_else(|| {
                CliError::new(
                    CliErrorKind::Usage,
                    "HOME is not set; set SKILLKEEP_DATA_DIR to the folder for the data",
                )
            })?,
    };
    let program = std::env::current_exe().map_err(|error| {
        CliError::new(
            CliErrorKind::Internal,
            format!("cannot determine the path of this program: {error}"),
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

/// Finds the tenant that `--tenant` names. Fails for an erased one, to which nothing may be added.
pub(super) async fn tenant(db: &AdminDb, slug: &str) -> Result<Tenant, CliError> {
    let tenant = find_including_erased(db, slug).await?;
    if tenant.status == "erased" {
        return Err(erased(slug));
    }
    Ok(tenant)
}

pub(super) fn erased(slug: &str) -> CliError {
    let message = format!("the tenant {slug} was erased; only its audit log is left");
    CliError::new(CliErrorKind::Refused, message)
}

pub(super) async fn find_including_erased(db: &AdminDb, slug: &str) -> Result<Tenant, CliError> {
    tenants::find(db, slug).await.map_err(db_failure)?.ok_or_else(|| {
        let message = format!("there is no tenant \"{slug}\"; `skillkeep tenant list` shows the tenants");
        CliError::new(CliErrorKind::NotFound, message)
    })
}

/// Begins a transaction for the tenant that `--tenant` names. The tenant cannot be erased until the transaction ends.
pub(super) async fn tenant_tx(db: &AdminDb, slug: &str) -> Result<TenantTx, CliError> {
    let tenant = tenant(db, slug).await?;
    let tx = TenantTx::begin_as_admin(db, tenant.id)
        .await
        .map_err(db_failure)?;
    // Another process may have erased it since the lookup.
    if tenants::lock_key_share(&tx).await.map_err(db_failure)? {
        Ok(tx)
    } else {
        Err(erased(slug))
    }
}

/// Begins a transaction to read the audit log of a tenant, which remains after the tenant is erased.
pub(super) async fn audit_tx(db: &AdminDb, slug: &str) -> Result<TenantTx, CliError> {
    let tenant = find_including_erased(db, slug).await?;
    TenantTx::begin_as_admin(db, tenant.id).await.map_err(db_failure)
}

/// The operating-system user who runs the command, for the audit log.
pub(super) fn operator() -> Actor {
    let name = nix::unistd::User::from_uid(nix::unistd::Uid::current())
        .ok()
        .flatten()
        .map_or_else(
            || format!("uid {}", nix::unistd::Uid::current()),
            |user| user.name,
        );
    Actor::Admin(name)
}

/// The administrator who runs this command, with the private keys of this process.
pub(super) fn administrator(config: &Config) -> Result<Caller, CliError> {
    Ok(Caller::administrator(operator()).with_signing_keys(signing_keys::configured(config)?))
}

pub(super) fn db_failure(error: DbError) -> CliError {
    if error.is_missing_tenant() {
        return CliError::new(
            CliErrorKind::Refused,
            "the tenant was erased in the meantime; only its audit log is left",
        );
    }
    let kind = if error.is_unavailable() || matches!(error, DbError::Rejected { .. }) {
        CliErrorKind::Unavailable
    } else {
        CliErrorKind::Internal
    };
    CliError::new(kind, error.to_string())
}

/// Explains why the role of `DATABASE_URL` cannot become skillkeep_admin.
fn admin_failure(error: DbError) -> CliError {
    match error.sql_state() {
        Some(state) if state.code() == "42501" => CliError::new(
            CliErrorKind::Refused,
            "the role of DATABASE_URL may not administer the registry; use the owner of the schema or skillkeep_admin",
        ),
        // The role skillkeep_admin does not exist, so this cluster was never migrated.
        Some(state) if matches!(state.code(), "42704" | "22023") => schema_failure(SchemaError::Missing),
        Some(_) | None => db_failure(error),
    }
}

pub(super) fn schema_failure(error: SchemaError) -> CliError {
    match error {
        SchemaError::Db(error) => db_failure(error),
        SchemaError::NotAllowed { .. } | SchemaError::UnboundOwner { .. } => {
            CliError::new(CliErrorKind::Refused, error.to_string())
        }
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
