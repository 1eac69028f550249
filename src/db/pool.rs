//! Pools of connections, one type for each role: what the server holds cannot be used to administer.

use std::sync::Arc;
use std::time::Duration;

use deadpool_postgres::{Hook, HookError, Manager, ManagerConfig, Pool, RecyclingMethod, Runtime};
use tokio::sync::broadcast;
use tokio_postgres::NoTls;

use super::change_listener::{ChangeEvent, ChangeListener};
use super::connect_options::{CONNECT_TIMEOUT, DatabaseUrl, Tls};
use super::fair_queue::{ConnectionPermit, FairScheduler, QueueId};
use super::{DbError, SESSION_INIT_ADMIN, SESSION_INIT_DRY_RUN};
use crate::ids::TenantId;

/// How long a call waits for a free connection before it is told that the registry is busy.
const POOL_WAIT: Duration = Duration::from_secs(5);
/// How long the database may take to answer.
const ANSWER_WAIT: Duration = Duration::from_secs(25);
/// How long it may take to answer whoever asks whether it does.
const PING_WAIT: Duration = Duration::from_secs(2);

/// What a tenant's transaction is to the database.
#[derive(Clone, Copy)]
pub(super) enum TxScope {
    /// A transaction.
    Transaction,
    /// A part of one that is never committed, in this role.
    RollbackSession(&'static str),
}

/// What is known of those who want a connection.
#[derive(Clone, Copy)]
pub(super) enum CallerTrust {
    /// The tenant that they work for.
    Known,
    /// Nothing but what they claim.
    Unauthenticated,
}

/// The pool, and how to reach the database beside it.
#[derive(Clone)]
pub(super) struct Connections {
    pub(super) pool: Pool,
    pub(super) tls: Tls,
    pub(super) bounds: TxScope,
    turns: FairScheduler,
    callers: CallerTrust,
    /// How long the database may take to answer a statement. Longer than it lets any run.
    pub(super) patience: Duration,
}

impl Connections {
    /// Opens no connection yet. Each connection begins with the statement `first`.
    fn new(url: &DatabaseUrl, max_size: usize, first: Option<&'static str>) -> Result<Self, DbError> {
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
            .wait_timeout(Some(POOL_WAIT))
            .create_timeout(Some(CONNECT_TIMEOUT))
            .recycle_timeout(Some(CONNECT_TIMEOUT));
        if let Some(first) = first {
            builder = builder.post_create(Hook::async_fn(move |client, _| {
                Box::pin(async move { client.batch_execute(first).await.map_err(HookError::Backend) })
            }));
        }
        let pool = builder
            .build()
            .map_err(|error| DbError::Unavailable(error.to_string()))?;
        Ok(Self {
            pool,
            tls,
            bounds: TxScope::Transaction,
            turns: FairScheduler::new(max_size),
            callers: CallerTrust::Known,
            patience: ANSWER_WAIT,
        })
    }

    /// A connection for work of this tenant, when it is its turn.
    pub(super) async fn get_for(
        &self,
        tenant: TenantId,
    ) -> Result<(deadpool_postgres::Object, ConnectionPermit), DbError> {
        let queue = match self.callers {
            CallerTrust::Known => QueueId::Tenant(tenant),
            CallerTrust::Unauthenticated => QueueId::Unauthenticated,
        };
        let place = tokio::time::timeout(POOL_WAIT, self.turns.take(queue))
            .await
            .map_err(|_| DbError::Busy)?;
        Ok((self.get().await?, place))
    }

    pub(super) async fn get(&self) -> Result<deadpool_postgres::Object, DbError> {
        use deadpool_postgres::PoolError;
        self.pool.get().await.map_err(|error| match error {
            PoolError::Backend(error) if error.as_db_error().is_some() => DbError::Statement(error),
            PoolError::PostCreateHook(HookError::Backend(error)) if error.as_db_error().is_some() => {
                DbError::Statement(error)
            }
            PoolError::Timeout(_)
            | PoolError::Backend(_)
            | PoolError::Closed
            | PoolError::NoRuntimeSpecified
            | PoolError::PostCreateHook(_) => DbError::Unavailable(error.to_string()),
        })
    }
}

/// The database as the server reaches it: as a role that can neither own nor administer anything.
#[derive(Clone)]
pub struct ServerDb(pub(super) Connections, Arc<ChangeListener>);

impl ServerDb {
    /// A pool of at most `max_size` connections; none is opened yet.
    ///
    /// # Errors
    /// When TLS is asked for and cannot be set up.
    pub fn new(url: &DatabaseUrl, max_size: usize) -> Result<Self, DbError> {
        let notices = Arc::new(ChangeListener::new(url.clone()));
        Connections::new(url, max_size, None).map(|connections| Self(connections, notices))
    }

    /// The same, with less patience for a database that does not answer.
    #[must_use]
    pub fn with_patience(mut self, patience: Duration) -> Self {
        self.0.patience = patience;
        self
    }

    /// The same connections for callers whose key nobody knows yet. They wait in a queue of their own and have a small share, so
    /// that whoever invents keys neither stands before a tenant's calls nor learns from his waiting how busy a tenant is.
    #[must_use]
    pub fn unauthenticated(&self) -> Self {
        let connections = Connections {
            callers: CallerTrust::Unauthenticated,
            ..self.0.clone()
        };
        Self(connections, Arc::clone(&self.1))
    }

    /// Every change of a catalogue from now on, whichever process made it. Connects when it is first called.
    ///
    /// # Errors
    /// When the connection that listens cannot be made.
    pub async fn notices(&self) -> Result<broadcast::Receiver<ChangeEvent>, DbError> {
        self.1.subscribe().await
    }

    /// Whether the database answers. It is given two seconds.
    ///
    /// # Errors
    /// When it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        let too_late = |_| DbError::Unavailable("it does not answer".to_owned());
        let until = tokio::time::Instant::now() + PING_WAIT;
        let connection = tokio::time::timeout_at(until, self.0.get())
            .await
            .map_err(too_late)??;
        let answered = tokio::time::timeout_at(until, connection.batch_execute("SELECT 1")).await;
        if answered.is_err() {
            // Nobody should get one that still waits for an answer.
            drop(deadpool_postgres::Object::take(connection));
        }
        answered.map_err(too_late)?.map_err(DbError::Statement)
    }

    /// Whether [`Self::close`] was called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.pool.is_closed()
    }

    /// Creates the coming months' partitions of the usage events, so that the server never runs out of them.
    ///
    /// # Errors
    /// When the database is away or refuses.
    pub async fn ensure_usage_partitions(&self) -> Result<i32, DbError> {
        let connection = self.0.get().await?;
        let row = connection
            .query_one(crate::sql!("usage/ensure_partitions.sql").text(), &[])
            .await?;
        Ok(row.try_get("created")?)
    }

    /// A connection for checks of the catalogue, which hold no tenant's data.
    pub(crate) async fn pg_catalog(&self) -> Result<deadpool_postgres::Object, DbError> {
        self.0.get().await
    }

    /// Closes every connection; calls after this fail.
    pub fn close(&self) {
        self.0.pool.close();
        self.1.stop();
    }
}

/// The database as the operator reaches it: he sees the list of tenants, and one tenant's rows at a time.
#[derive(Clone)]
pub struct AdminDb(pub(super) Connections);

impl AdminDb {
    /// A small pool whose connections work as the role `skillkeep_admin`.
    ///
    /// # Errors
    /// When TLS is asked for and cannot be set up.
    pub fn new(url: &DatabaseUrl) -> Result<Self, DbError> {
        Connections::new(url, 4, Some(SESSION_INIT_ADMIN)).map(Self)
    }

    /// A connection for the list of tenants and for the catalogue.
    pub(crate) async fn system_connection(&self) -> Result<deadpool_postgres::Object, DbError> {
        let connection = self.0.get().await?;
        if let TxScope::RollbackSession(role) = self.0.bounds {
            // The transaction goes on from whoever worked in it last.
            connection
                .batch_execute(&format!("SET LOCAL ROLE {role}"))
                .await?;
        }
        Ok(connection)
    }
}

/// Two ways into one transaction that is never committed: what is done through them, calls and their records alike, is as if
/// it had not been. One thing at a time: there is one connection.
pub struct RollbackSession {
    connections: Connections,
    url: DatabaseUrl,
}

impl RollbackSession {
    /// Begins by a role that may administer.
    ///
    /// # Errors
    /// When TLS is asked for and cannot be set up.
    pub fn new(url: &DatabaseUrl) -> Result<Self, DbError> {
        Ok(Self {
            connections: Connections::new(url, 1, Some(SESSION_INIT_DRY_RUN))?,
            url: url.clone(),
        })
    }

    fn in_role(&self, role: &'static str) -> Connections {
        Connections {
            bounds: TxScope::RollbackSession(role),
            ..self.connections.clone()
        }
    }

    /// The way in of the server.
    #[must_use]
    pub fn server(&self) -> ServerDb {
        let notices = Arc::new(ChangeListener::new(self.url.clone()));
        ServerDb(self.in_role("skillkeep_app"), notices)
    }

    /// The way in of the operator.
    #[must_use]
    pub fn admin(&self) -> AdminDb {
        AdminDb(self.in_role("skillkeep_admin"))
    }

    /// Takes everything back.
    ///
    /// # Errors
    /// When the connection is lost; nothing is kept then either.
    pub async fn end(self) -> Result<(), DbError> {
        let connection = self.connections.get().await?;
        connection.batch_execute("ROLLBACK").await?;
        drop(deadpool_postgres::Object::take(connection));
        self.connections.pool.close();
        Ok(())
    }
}
