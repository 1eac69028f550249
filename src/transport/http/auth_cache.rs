//! Whether keys hold, asked before the protocol layer and remembered for a moment.
//!
//! This check only keeps strangers out early. The one that counts is made again in the call's own transaction.
//!
//! Each check runs in a task of its own: who hangs up early is judged all the same, and leaves no connection broken off in the
//! middle. A key that was not found good within the hour is a stranger's, whatever tenant it names: it waits with those of its
//! kind alone, and one address has so many of them.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use futures::future::{BoxFuture, Shared};

use super::auth_throttle::{self, AuthAttempt, FailedAuthLimiter};
use crate::db::DbError;
use crate::ids::{Digest, TenantId};
use crate::server::{CallService, Denial, Reason};
use crate::tenancy::{ApiKey, AuthError, CallPermit, KeyRejectionReason, OverLimit, Principal, authenticate};

/// How long a key that was found good is not asked for again.
const REMEMBERED: Duration = Duration::from_secs(3);
/// How long it is known as one that was good, which lets it be tried even from an address that brings bad ones.
const WELL_KNOWN: Duration = Duration::from_secs(60 * 60);
const MAX_REMEMBERED: usize = 10_000;
/// How many tenants are known to exist without asking.
const MAX_TENANTS: usize = 10_000;

/// What came of a check; for everybody who asked for it.
type Checked = Result<Arc<Principal>, Arc<AuthError>>;

/// Why a request goes no further.
pub(super) enum AuthRejection {
    /// Too many bad keys came from its address; seconds to wait.
    MustWait(u32),
    /// Its key does not hold, or could not be checked.
    Key {
        /// Why.
        error: Arc<AuthError>,
        /// Whether the key was good within the hour.
        well_known: bool,
    },
    /// There are too many strangers.
    Busy,
}

struct Known {
    checked: Instant,
    principal: Arc<Principal>,
}

#[derive(Default)]
struct State {
    /// The keys that were found good a while ago, by their hashes.
    good: HashMap<Digest, Known>,
    /// The checks that go on. Who comes with the same key waits for the same answer.
    under_way: HashMap<Digest, Shared<BoxFuture<'static, Checked>>>,
    /// When a key last named a tenant that exists. Whoever is attacked is among them: the first keys of an attack are checked.
    tenants: HashMap<TenantId, Instant>,
}

impl State {
    fn remembers(&self, hash: Digest, for_so_long: Duration) -> Option<Arc<Principal>> {
        let known = self.good.get(&hash)?;
        (known.checked.elapsed() < for_so_long).then(|| Arc::clone(&known.principal))
    }

    fn remember(&mut self, hash: Digest, principal: &Arc<Principal>) {
        if self.good.len() >= MAX_REMEMBERED {
            self.good.retain(|_, known| known.checked.elapsed() < REMEMBERED);
        }
        if self.good.len() < MAX_REMEMBERED {
            let known = Known {
                checked: Instant::now(),
                principal: Arc::clone(principal),
            };
            self.good.insert(hash, known);
        }
    }

    fn has_seen(&mut self, tenant: TenantId) {
        if self.tenants.len() >= MAX_TENANTS {
            self.tenants.retain(|_, seen| seen.elapsed() < WELL_KNOWN);
        }
        if self.tenants.len() < MAX_TENANTS || self.tenants.contains_key(&tenant) {
            self.tenants.insert(tenant, Instant::now());
        }
    }
}

/// The keys of one server's callers.
#[derive(Clone)]
pub(in crate::transport) struct CachingAuthenticator {
    service: Arc<CallService>,
    state: Arc<Mutex<State>>,
    failed_auth: FailedAuthLimiter,
}

/// Takes a check out of those that go on, however it ends.
struct UnderWay {
    keys: CachingAuthenticator,
    hash: Digest,
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.keys.state().under_way.remove(&self.hash);
    }
}

impl CachingAuthenticator {
    pub(super) fn new(service: Arc<CallService>, window: Duration) -> Self {
        Self {
            service,
            state: Arc::default(),
            failed_auth: FailedAuthLimiter::new(window),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Who comes with this key, from this address and this source.
    pub(super) async fn authenticate(
        &self,
        key: &ApiKey,
        address: Option<IpAddr>,
        source: String,
    ) -> Result<Arc<Principal>, AuthRejection> {
        let well_known = {
            let state = self.state();
            if let Some(principal) = state.remembers(key.hash(), REMEMBERED) {
                return Ok(principal);
            }
            state.remembers(key.hash(), WELL_KNOWN).is_some()
        };
        let counted = match address {
            Some(address) if !well_known => match self.failed_auth.begin(address).await {
                Ok(counted) => Some(counted),
                Err(auth_throttle::RateLimited::Wait(seconds)) => {
                    self.note_untried(key, source);
                    return Err(AuthRejection::MustWait(seconds));
                }
                Err(auth_throttle::RateLimited::Busy) => return Err(AuthRejection::Busy),
            },
            Some(_) | None => None,
        };
        let judged = tokio::spawn(self.clone().judge(key.clone(), address, counted, source));
        let checked = judged.await.unwrap_or_else(|error| Err(broken_off(&error)));
        checked.map_err(|error| AuthRejection::Key { error, well_known })
    }

    /// Notes a key that is not even tried, without asking anything: a tenant that nobody knows of costs nothing.
    fn note_untried(&self, key: &ApiKey, source: String) {
        let tenant = key.claimed_tenant();
        let seen = self.state().tenants.get(&tenant).copied();
        if seen.is_some_and(|seen| seen.elapsed() < WELL_KNOWN) {
            self.note(Denial {
                tenant,
                api_key: None,
                reason: Reason::Untried,
                what: String::new(),
                source,
            });
        }
    }

    /// Checks a key and draws the consequences where it does not hold.
    async fn judge(
        self,
        key: ApiKey,
        address: Option<IpAddr>,
        counted: Option<AuthAttempt>,
        source: String,
    ) -> Checked {
        let checked = self.check(&key).await;
        if let Err(error) = &checked
            && let AuthError::Invalid(refused) = &**error
        {
            let why = refused.why.as_str();
            tracing::warn!(why, "a request came with an API key that does not hold");
            match (counted, address) {
                (Some(counted), _) => counted.was_bad(),
                (None, Some(address)) => self.failed_auth.note(address),
                (None, None) => {}
            }
            if let Some(denial) = Denial::of_key(refused, &source) {
                self.note(denial);
            }
        }
        checked
    }

    async fn check(&self, key: &ApiKey) -> Checked {
        let hash = key.hash();
        let under_way = {
            let mut state = self.state();
            if let Some(principal) = state.remembers(hash, REMEMBERED) {
                return Ok(principal);
            }
            let keys = self.clone();
            let begin = || {
                let asked = tokio::spawn(keys.ask(key.clone()));
                async move { asked.await.unwrap_or_else(|error| Err(broken_off(&error))) }
                    .boxed()
                    .shared()
            };
            state.under_way.entry(hash).or_insert_with(begin).clone()
        };
        under_way.await
    }

    async fn ask(self, key: ApiKey) -> Checked {
        let hash = key.hash();
        // Dropped last: by then what was found is remembered.
        let _under_way = UnderWay {
            keys: self.clone(),
            hash,
        };
        let well_known = self.state().remembers(hash, WELL_KNOWN).is_some();
        let db = self.service.db();
        let found = if well_known {
            authenticate(db, &key).await
        } else {
            authenticate(&db.unauthenticated(), &key).await
        };
        match found {
            Ok((tx, principal)) => {
                tx.roll_back()
                    .await
                    .map_err(|error| Arc::new(AuthError::Db(error)))?;
                let principal = Arc::new(principal);
                let mut state = self.state();
                state.remember(hash, &principal);
                state.has_seen(principal.tenant);
                drop(state);
                Ok(principal)
            }
            Err(error) => {
                if let AuthError::Invalid(refused) = &error {
                    let mut state = self.state();
                    state.good.remove(&hash);
                    if refused.why != KeyRejectionReason::UnknownTenant {
                        state.has_seen(refused.tenant);
                    }
                }
                Err(Arc::new(error))
            }
        }
    }

    /// Whether the key is known not to hold any more. A database that does not answer tells nothing.
    pub(in crate::transport) async fn has_ended(&self, key: &ApiKey) -> bool {
        match self.check(key).await {
            Ok(_) => false,
            Err(error) => matches!(*error, AuthError::Invalid(_)),
        }
    }

    /// Counts a request against what its key and its tenant may make. In a task of its own as well: the calls of the month are
    /// counted in the database.
    pub(super) async fn admit(
        &self,
        key: &ApiKey,
        principal: &Arc<Principal>,
    ) -> Result<Result<CallPermit, OverLimit>, AuthError> {
        let (service, key, principal) = (Arc::clone(&self.service), key.clone(), Arc::clone(principal));
        let admitted = tokio::spawn(async move { service.admit(&key, &principal).await });
        admitted.await.unwrap_or_else(|error| {
            tracing::error!(%error, "a request was not counted");
            Err(AuthError::Db(DbError::Unavailable(
                "counting broke off".to_owned(),
            )))
        })
    }

    /// Notes for the audit log that a request was refused.
    pub(in crate::transport) fn note(&self, denial: Denial) {
        self.service.denials().note(denial);
    }
}

fn broken_off(error: &tokio::task::JoinError) -> Arc<AuthError> {
    tracing::error!(%error, "the check of a key ended without an answer");
    let words = "the check of a key broke off".to_owned();
    Arc::new(AuthError::Db(DbError::Unavailable(words)))
}
