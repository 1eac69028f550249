//! Connection pools, one type for each database role: a [`ServerDb`] cannot be used for administration.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{
    Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime, TimeoutType,
};
use tokio::sync::broadcast;
use tokio_postgres::NoTls;

use super::change_listener::{ChangeEvent, ChangeListener};
use super::connect_error::{connect_error, connect_timeout};
use super::connect_options::{DatabaseUrl, Tls};
use super::fair_queue::{ConnectionPermit, FairScheduler, QueueId};
use super::usage_months::UsageMonths;
use super::{DbError, SESSION_INIT_ADMIN, SESSION_INIT_DRY_RUN};
use crate::ids::TenantId;

/// How long a call waits for a connection permit, and then for a connection, before it fails.
const POOL_TIMEOUT: Duration = Duration::from_secs(5);
/// The default of [`ServerDb::with_response_timeout`]. Longer than a call may take (`ServiceLimits::call_timeout`), so that a
/// call is given up before its transaction is.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(30);
/// For [`ServerDb::ping`].
const PING_TIMEOUT: Duration = Duration::from_secs(2);

/// How a tenant's transaction is mapped to the database.
#[derive(Clone, Copy)]
pub(super) enum TxScope {
    /// To a transaction.
    Transaction,
    /// To a savepoint, with this role, in a transaction that is never committed.
    RollbackSession(&'static str),
}

/// Whose calls use the connections, for fair queueing.
#[derive(Clone, Copy)]
pub(super) enum CallerTrust {
    /// Verified callers: one queue for each tenant.
    Authenticated,
    /// Callers whose API key is not verified yet: one queue together.
    Unauthenticated,
}

/// A pool with its scheduler and settings.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) pool: Pool,
    url: DatabaseUrl,
    pub(super) tls: Tls,
    pub(super) scope: TxScope,
    scheduler: FairScheduler,
    caller_trust: CallerTrust,
    /// How long to wait for the answer to a statement. Longer than PostgreSQL's own `statement_timeout`.
    pub(super) response_timeout: Duration,
}

impl Connections {
    /// Opens no connection yet. `session_init` is executed on each new connection.
    fn new(url: &DatabaseUrl, max_size: usize, session_init: Option<&'static str>) -> Result<Self, DbError> {
        let tls = url.tls()?;
        let config = url.config(tls.is_some());
        let manager_config = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let (manager, tls) = match tls {
            Some(tls) => (
                Manager::from_config(config, tls.clone(), manager_config),
                Tls::On(tls),
            ),
            None => (Manager::from_config(config, NoTls, manager_config), Tls::Off),
        };
        let mut builder = Pool::builder(manager)
            .max_size(max_size)
            .runtime(Runtime::Tokio1)
            .wait_timeout(Some(POOL_TIMEOUT))
            .create_timeout(Some(url.connect_timeout()))
            .recycle_timeout(Some(POOL_TIMEOUT));
        if let Some(statements) = session_init {
            builder = builder.post_create(Hook::async_fn(move |client, _| {
                Box::pin(async move { client.batch_execute(statements).await.map_err(HookError::Backend) })
            }));
        }
        let pool = builder
            .build()
            .map_err(|error| DbError::Unavailable(error.to_string()))?;
        Ok(Self {
            pool,
            url: url.clone(),
            tls,
            scope: TxScope::Transaction,
            scheduler: FairScheduler::new(max_size),
            caller_trust: CallerTrust::Authenticated,
            response_timeout: RESPONSE_TIMEOUT,
        })
    }

    /// Waits for a permit in the tenant's queue, then for a connection.
    pub(super) async fn get_for(
        &self,
        tenant: TenantId,
    ) -> Result<(deadpool_postgres::Object, ConnectionPermit), DbError> {
        let queue = match self.caller_trust {
            CallerTrust::Authenticated => QueueId::Tenant(tenant),
            CallerTrust::Unauthenticated => QueueId::Unauthenticated,
        };
        let permit = tokio::time::timeout(POOL_TIMEOUT, self.scheduler.acquire(queue))
            .await
            .map_err(|_| DbError::Busy)?;
        Ok((self.get().await?, permit))
    }

    pub(super) async fn get(&self) -> Result<deadpool_postgres::Object, DbError> {
        use deadpool_postgres::PoolError;
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) => connect_error(&self.url, error),
            PoolError::PostCreateHook(HookError::Backend(error)) if error.as_db_error().is_some() => {
                DbError::Statement(error)
            }
            PoolError::Timeout(TimeoutType::Create) => connect_timeout(&self.url),
            PoolError::Timeout(TimeoutType::Wait | TimeoutType::Recycle)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => DbError::Unavailable(error.to_string()),
        })
    }
}

/// The database with the role `skillkeep_app`, which owns nothing and cannot administer anything.
#[derive(Clone)]
pub struct ServerDb(
    pub(super) Connections,
    Arc<ChangeListener>,
    pub(super) Arc<UsageMonths>,
);

impl ServerDb {
    /// A pool of at most `max_size` connections. Opens none yet.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the TLS configuration is unusable.
    pub fn new(url: &DatabaseUrl, max_size: usize) -> Result<Self, DbError> {
        let listener = Arc::new(ChangeListener::new(url.clone()));
        Connections::new(url, max_size, None).map(|connections| Self(connections, listener, Arc::default()))
    }

    /// Limits the connections that one tenant can hold, below the three quarters that it can hold anyway. For a database on this
    /// machine: more of a tenant's statements at once than it has cores would only delay those of other tenants.
    #[must_use]
    pub fn with_tenant_connections(mut self, max: usize) -> Self {
        self.0.scheduler = FairScheduler::with_tenant_limit(self.0.pool.status().max_size, max);
        self
    }

    /// Sets how long a transaction waits for each answer of the database; the default is 30 s. PostgreSQL itself ends a statement
    /// after two thirds of it (20 s), and an idle transaction after twice of it (60 s).
    #[must_use]
    pub fn with_response_timeout(mut self, timeout: Duration) -> Self {
        self.0.response_timeout = timeout;
        self
    }

    /// How long a transaction waits for an answer of the database.
    #[must_use]
    pub const fn response_timeout(&self) -> Duration {
        self.0.response_timeout
    }

    /// The same pool for calls whose API key is not verified yet. They share one queue and at most one in 8 connections, so an
    /// unauthenticated caller can neither delay a tenant's calls nor infer a tenant's load from its own waiting time.
    #[must_use]
    pub fn unauthenticated(&self) -> Self {
        let connections = Connections {
            caller_trust: CallerTrust::Unauthenticated,
            ..self.0.clone()
        };
        Self(connections, Arc::clone(&self.1), Arc::clone(&self.2))
    }

    /// Receives every change of a catalog from now on, made by any process. The first call connects.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if there is no connection within 5 s.
    pub async fn notices(&self) -> Result<broadcast::Receiver<ChangeEvent>, DbError> {
        self.1.subscribe().await
    }

    /// Checks that the database answers within 2 s.
    pub async fn ping(&self) -> Result<(), DbError> {
        let timed_out = |_| DbError::Unavailable("no answer within 2 s".to_owned());
        let deadline = tokio::time::Instant::now() + PING_TIMEOUT;
        let connection = tokio::time::timeout_at(deadline, self.0.get())
            .await
            .map_err(timed_out)??;
        let response = tokio::time::timeout_at(deadline, connection.batch_execute("SELECT 1")).await;
        if response.is_err() {
            // A connection with an outstanding answer must not return to the pool.
            drop(deadpool_postgres::Object::take(connection));
        }
        response.map_err(timed_out)?.map_err(DbError::Statement)
    }

    /// Whether [`Self::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.pool.is_closed()
    }

    /// A connection for queries of `pg_catalog`, outside of tenant transactions.
    pub(crate) async fn pg_catalog(&self) -> Result<deadpool_postgres::Object, DbError> {
        self.0.get().await
    }

    /// Ends the connection for change notifications.
    pub(crate) fn stop_listening(&self) {
        self.1.stop();
    }

    /// Closes every connection. Later calls fail.
    pub fn close(&self) {
        self.0.pool.close();
        self.1.stop();
    }
}

/// The database with the role `skillkeep_admin`, which sees the list of tenants, and one tenant's rows in each transaction.
#[derive(Clone)]
pub struct AdminDb(pub(super) Connections);

impl AdminDb {
    /// A pool of at most 4 connections. Opens none yet.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the TLS configuration is unusable.
    pub fn new(url: &DatabaseUrl) -> Result<Self, DbError> {
        Connections::new(url, 4, Some(SESSION_INIT_ADMIN)).map(Self)
    }

    /// A connection for the list of tenants and for `pg_catalog`.
    pub(crate) async fn system_connection(&self) -> Result<deadpool_postgres::Object, DbError> {
        let connection = self.0.get().await?;
        if let TxScope::RollbackSession(role) = self.0.scope {
            // The session's transaction may still have the role of its last user.
            connection
                .batch_execute(&format!("SET LOCAL ROLE {role}"))
                .await?;
        }
        Ok(connection)
    }
}

/// A dry run: a [`ServerDb`] and an [`AdminDb`] that share one transaction, which is rolled back at the end.
///
/// Everything done through them, including usage events, has no effect. They share one connection, so transactions run one after
/// the other.
pub struct RollbackSession {
    connections: Connections,
    url: DatabaseUrl,
}

impl RollbackSession {
    /// `url` connects as `skillkeep_admin` or as a member of that role.
    ///
    /// # Errors
    /// [`DbError::Unavailable`] if the TLS configuration is unusable.
    pub fn new(url: &DatabaseUrl) -> Result<Self, DbError> {
        Ok(Self {
            connections: Connections::new(url, 1, Some(SESSION_INIT_DRY_RUN))?,
            url: url.clone(),
        })
    }

    fn with_role(&self, role: &'static str) -> Connections {
        Connections {
            scope: TxScope::RollbackSession(role),
            ..self.connections.clone()
        }
    }

    #[must_use]
    pub fn server(&self) -> ServerDb {
        let listener = Arc::new(ChangeListener::new(self.url.clone()));
        ServerDb(self.with_role("skillkeep_app"), listener, Arc::default())
    }

    #[must_use]
    pub fn admin(&self) -> AdminDb {
        AdminDb(self.with_role("skillkeep_admin"))
    }

    /// Rolls everything back. Nothing is kept after an error either.
    pub async fn end(self) -> Result<(), DbError> {
        let connection = self.connections.get().await?;
        connection.batch_execute("ROLLBACK").await?;
        drop(deadpool_postgres::Object::take(connection));
        self.connections.pool.close();
        Ok(())
    }
}
