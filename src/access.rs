//! Access control: API keys, limits and denials, for the transports and the service alike.
//!
//! Over HTTP a key and the limits are checked before the protocol layer, so that a refused request costs little. Those
//! checks may be up to 3 seconds old. The check that decides is [`AccessControl::begin`], in the call's own transaction.

mod auth_throttle;
mod call_guard;
mod denials;
mod limits;
mod refusal_log;

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use moka::future::Cache;
use tokio::sync::broadcast::Receiver;

use self::auth_throttle::{AuthAttempt, FailedAuthLimiter, Throttled};
pub use self::call_guard::CallGuard;
pub use self::denials::{Denial, DenialReason, DenialRecorder};
pub use self::limits::AccessLimits;
use crate::db::{ChangeEvent, DbError, ServerDb, TenantTx};
use crate::ids::{Digest, TenantId};
use crate::tenancy::{
    ApiKey, AuthError, CallLimiter, CallPermit, KeyRejectionReason, OverLimit, Principal, ShareExceeded,
    ShareLimiter, authenticate,
};

/// How long a valid key is not checked again before the protocol layer.
const FRESH: Duration = Duration::from_secs(3);
/// How long a key counts as known after it was valid: it is then checked also from an address that is throttled.
const KNOWN: Duration = Duration::from_secs(60 * 60);
/// Keys that are cached, and again tenants.
const MAX_CACHED: u64 = 10_000;

/// The network origin of a request.
#[derive(Debug, Clone)]
pub struct Origin {
    /// The client's address, where it is known.
    pub address: Option<IpAddr>,
    /// Transport and address, as the audit log has them: `http 192.0.2.7`.
    pub source: String,
}

/// Why a request is refused before it reaches the protocol layer.
#[derive(Debug)]
pub enum AccessError {
    /// The address sent too many invalid keys. Seconds until the next one is checked.
    Throttled(u32),
    /// Too many unknown keys are being checked.
    Overloaded,
    /// The key is invalid, or could not be checked.
    Key {
        /// The cause, shared by all requests that waited for the same check.
        error: Arc<AuthError>,
        /// Whether the key was valid within the hour. Others are not told about the tenant that they claim.
        is_known: bool,
    },
    /// More calls in a minute or a month than the key or its tenant may make.
    RateLimit(OverLimit),
    /// The key, the tenant or the process has its maximum of calls running.
    ConcurrencyLimit(ShareExceeded),
}

type KeyCheck = Result<Arc<Principal>, Arc<AuthError>>;

/// Checks keys, counts calls against their limits and records denials. One for each process.
pub struct AccessControl {
    db: ServerDb,
    limiter: CallLimiter,
    concurrency: ShareLimiter,
    unread_bytes: ShareLimiter,
    failed_auth: FailedAuthLimiter,
    denials: DenialRecorder,
    /// Keys that were valid within 3 seconds, by their hashes. Concurrent checks of one key are one check.
    fresh: Cache<Digest, Arc<Principal>>,
    /// Keys that were valid within the hour.
    known: Cache<Digest, ()>,
    /// Tenants that are known to exist: a key of theirs was checked within the hour.
    tenants: Cache<TenantId, ()>,
}

fn expiring<K, V>(time_to_live: Duration) -> Cache<K, V>
where
    K: std::hash::Hash + Eq + Send + Sync + 'static,
    V: Clone + Send + Sync + 'static,
{
    Cache::builder()
        .max_capacity(MAX_CACHED)
        .time_to_live(time_to_live)
        .build()
}

impl AccessControl {
    pub(crate) fn new(db: ServerDb, limits: AccessLimits) -> Self {
        Self {
            denials: DenialRecorder::new(db.clone()),
            db,
            limiter: CallLimiter::default(),
            concurrency: ShareLimiter::new(limits.calls),
            unread_bytes: ShareLimiter::new(limits.unread_bytes),
            failed_auth: FailedAuthLimiter::new(limits.failed_key_window),
            fresh: expiring(FRESH),
            known: expiring(KNOWN),
            tenants: expiring(KNOWN),
        }
    }

    /// The recorder of refused requests.
    #[must_use]
    pub const fn denials(&self) -> &DenialRecorder {
        &self.denials
    }

    /// Begins the caller's transaction and checks the key in it. A refused key is recorded.
    ///
    /// # Errors
    /// As [`authenticate`].
    pub async fn begin(&self, key: &ApiKey, source: &str) -> Result<(TenantTx, Principal), AuthError> {
        let begun = authenticate(&self.db, key).await;
        if let Err(AuthError::Invalid(rejected)) = &begun {
            self.denials.record_key(rejected, source);
        }
        begun
    }

    /// Waits until the key, its tenant and the process may leave this many more bytes of answers unread. Without this, a large
    /// answer would be made first and then dropped.
    pub(crate) async fn may_answer(&self, key: &ApiKey, bytes: usize) {
        let bytes = bytes.min(self.unread_bytes.limits().per_key);
        let room = self
            .unread_bytes
            .take_when_free(key.claimed_tenant(), key.hash(), bytes);
        drop(room.await);
    }

    /// Counts a call in its own transaction, unless it is over a limit.
    pub(crate) async fn admit_in(
        &self,
        tx: &TenantTx,
        principal: &Principal,
    ) -> Result<Result<CallPermit, OverLimit>, DbError> {
        if self.limiter.needs_refresh(principal) {
            let _lock = self.limiter.refresh_lock(principal.tenant).await;
            if self.limiter.needs_refresh(principal) {
                self.limiter.refresh(tx, principal).await?;
            }
        }
        Ok(self.limiter.admit(principal))
    }

    /// Counts a call before the protocol layer. The guard belongs to the call until that has ended.
    ///
    /// # Errors
    /// [`AccessError::RateLimit`] and [`AccessError::ConcurrencyLimit`], which are recorded; and a database error.
    pub async fn admit(
        self: &Arc<Self>,
        key: &ApiKey,
        principal: &Arc<Principal>,
        source: &str,
    ) -> Result<CallGuard, AccessError> {
        let rate = match self.admit_rate(key, principal, source).await {
            Ok(Ok(permit)) => permit,
            Ok(Err(over)) => {
                self.denials.record_limit(principal, "", source);
                return Err(AccessError::RateLimit(over));
            }
            Err(error) => {
                return Err(AccessError::Key {
                    error: Arc::new(error),
                    is_known: true,
                });
            }
        };
        self.guard(Some(rate), key, principal, source)
    }

    /// Gives a list or completion its share of the calls at once. It does not count against the rate limits.
    ///
    /// # Errors
    /// [`AccessError::ConcurrencyLimit`], which is recorded.
    pub fn admit_uncounted(
        &self,
        key: &ApiKey,
        principal: &Principal,
        source: &str,
    ) -> Result<CallGuard, AccessError> {
        self.guard(None, key, principal, source)
    }

    fn guard(
        &self,
        rate: Option<CallPermit>,
        key: &ApiKey,
        principal: &Principal,
        source: &str,
    ) -> Result<CallGuard, AccessError> {
        let concurrency = self
            .concurrency
            .take(principal.tenant, key.hash(), 1)
            .map_err(|exceeded| {
                self.denials.record_limit(principal, "calls at once", source);
                AccessError::ConcurrencyLimit(exceeded)
            })?;
        Ok(CallGuard {
            _rate: rate,
            _concurrency: concurrency,
            key: key.hash(),
            tenant: principal.tenant,
            unread_bytes: self.unread_bytes.clone(),
        })
    }

    async fn admit_rate(
        self: &Arc<Self>,
        key: &ApiKey,
        principal: &Arc<Principal>,
        source: &str,
    ) -> Result<Result<CallPermit, OverLimit>, AuthError> {
        if self.limiter.needs_refresh(principal) {
            let (access, key, principal) = (Arc::clone(self), key.clone(), Arc::clone(principal));
            let source = source.to_owned();
            // In a task of its own: a client that disconnects must not close the connection in mid-transaction.
            tokio::spawn(async move { access.refresh_limits(&key, &principal, &source).await })
                .await
                .unwrap_or_else(|error| Err(interrupted(&error)))?;
        }
        Ok(self.limiter.admit(principal))
    }

    async fn refresh_limits(
        &self,
        key: &ApiKey,
        principal: &Principal,
        source: &str,
    ) -> Result<(), AuthError> {
        // Taken before a connection is: those who wait here hold none.
        let _lock = self.limiter.refresh_lock(principal.tenant).await;
        if self.limiter.needs_refresh(principal) {
            let (tx, principal) = self.begin(key, source).await?;
            self.limiter.refresh(&tx, &principal).await?;
            tx.rollback().await?;
        }
        Ok(())
    }

    /// Checks a key before the protocol layer. The result may be up to 3 seconds old.
    ///
    /// # Errors
    /// All variants of [`AccessError`] but the limits of calls. Invalid keys are recorded.
    pub async fn check_key(
        self: &Arc<Self>,
        key: &ApiKey,
        origin: Origin,
    ) -> Result<Arc<Principal>, AccessError> {
        if let Some(principal) = self.fresh.get(&key.hash()).await {
            return Ok(principal);
        }
        let is_known = self.known.contains_key(&key.hash());
        let attempt = match origin.address {
            Some(address) if !is_known => match self.failed_auth.begin(address).await {
                Ok(attempt) => Some(attempt),
                Err(Throttled::Wait(seconds)) => {
                    self.record_unchecked(key, origin.source);
                    return Err(AccessError::Throttled(seconds));
                }
                Err(Throttled::Busy) => return Err(AccessError::Overloaded),
            },
            Some(_) | None => None,
        };
        let (access, key) = (Arc::clone(self), key.clone());
        // In a task of its own: a client that disconnects early is counted all the same.
        tokio::spawn(async move { access.check_and_record(&key, attempt, &origin).await })
            .await
            .unwrap_or_else(|error| Err(Arc::new(interrupted(&error))))
            .map_err(|error| AccessError::Key { error, is_known })
    }

    async fn check_and_record(
        self: &Arc<Self>,
        key: &ApiKey,
        attempt: Option<AuthAttempt>,
        origin: &Origin,
    ) -> KeyCheck {
        let checked = self.check(key).await;
        if let Err(error) = &checked
            && let AuthError::Invalid(rejected) = &**error
        {
            self.denials.log_refusal(origin.address, rejected.why.as_str());
            match (attempt, origin.address) {
                (Some(attempt), _) => attempt.failed(),
                // It was valid within the hour, so it was checked without being counted.
                (None, Some(address)) => self.failed_auth.record_failure(address),
                (None, None) => {}
            }
            self.denials.record_key(rejected, &origin.source);
        }
        checked
    }

    /// Whether the key has become invalid. `false` also while the database does not answer.
    pub async fn is_revoked(self: &Arc<Self>, key: &ApiKey) -> bool {
        match self.check(key).await {
            Ok(_) => false,
            Err(error) => matches!(*error, AuthError::Invalid(_)),
        }
    }

    /// One check at a time of each key, in a task of its own: a client that disconnects does not cancel it.
    async fn check(self: &Arc<Self>, key: &ApiKey) -> KeyCheck {
        let (access, key) = (Arc::clone(self), key.clone());
        tokio::spawn(async move {
            access
                .fresh
                .try_get_with(key.hash(), access.query_key(&key))
                .await
        })
        .await
        .unwrap_or_else(|error| Err(Arc::new(interrupted(&error))))
    }

    async fn query_key(&self, key: &ApiKey) -> Result<Arc<Principal>, AuthError> {
        let hash = key.hash();
        let db = if self.known.contains_key(&hash) {
            self.db.clone()
        } else {
            // A queue of their own: unknown keys cannot delay the calls of the tenant that they claim.
            self.db.unauthenticated()
        };
        match authenticate(&db, key).await {
            Ok((tx, principal)) => {
                tx.rollback().await?;
                self.known.insert(hash, ()).await;
                self.tenants.insert(principal.tenant, ()).await;
                Ok(Arc::new(principal))
            }
            Err(error) => {
                if let AuthError::Invalid(rejected) = &error {
                    self.known.invalidate(&hash).await;
                    if rejected.why != KeyRejectionReason::UnknownTenant {
                        self.tenants.insert(rejected.tenant, ()).await;
                    }
                }
                Err(error)
            }
        }
    }

    /// Records a key that is not checked because its address is throttled. Only tenants that are known to exist have a
    /// log, and finding that out must cost no query.
    fn record_unchecked(&self, key: &ApiKey, source: String) {
        let tenant = key.claimed_tenant();
        if self.tenants.contains_key(&tenant) {
            self.denials.record(Denial {
                tenant,
                api_key: None,
                reason: DenialReason::Unchecked,
                what: String::new(),
                source,
            });
        }
    }

    /// Changes of the catalogs of all tenants.
    pub(crate) async fn change_events(&self) -> Result<Receiver<ChangeEvent>, DbError> {
        self.db.notices().await
    }

    /// Whether the connection pool is closed.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.db.is_closed()
    }

    /// Checks that the database answers within 2 seconds.
    ///
    /// # Errors
    /// [`DbError`] when it does not.
    pub async fn ping(&self) -> Result<(), DbError> {
        if self.is_closed() {
            return Err(DbError::Unavailable("the connection pool is closed".to_owned()));
        }
        self.db.ping().await
    }
}

fn interrupted(error: &tokio::task::JoinError) -> AuthError {
    tracing::error!(%error, "the check of a key ended without a result");
    AuthError::Db(DbError::Unavailable(
        "the check of a key was interrupted".to_owned(),
    ))
}
