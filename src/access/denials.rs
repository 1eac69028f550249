//! Records refused requests in the audit log: invalid keys, missing scopes, limits that are reached.
//!
//! The first denial of a kind is written at once. Those that follow within a minute, or within ten minutes for requests without
//! a valid key, are counted and written as one entry, so that repeated requests cannot fill the log. Writes happen in the
//! background, so that the response time does not reveal whether the tenant exists.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::json;
use tokio_util::task::TaskTracker;

use super::refusal_log::RefusalLog;
use crate::db::{DbError, ServerDb};
use crate::ids::{ApiKeyId, TenantId};
use crate::registry::audit::{self, Actor, Entry};
use crate::tenancy::{KeyRejectionReason, Principal, RejectedKey};

/// How long denials of a kind are counted before they are written.
const WINDOW: Duration = Duration::from_secs(60);
/// Kinds of denials of one tenant that are kept apart within a window. Requests from ever new addresses would otherwise
/// fill the log.
const MAX_KINDS_PER_TENANT: usize = 100;
/// The same for requests without a valid key: anyone can send them, for any tenant whose id they know.
const UNPROVEN_WINDOW: Duration = Duration::from_secs(600);
const MAX_UNPROVEN_KINDS: usize = 10;
const FLUSH_INTERVAL: Duration = Duration::from_secs(15);
const CONCURRENT_WRITES: usize = 4;
/// Stands for the subject and source of denials beyond the number that is kept apart.
const AGGREGATED: &str = "many";

/// Why a request was denied.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum DenialReason {
    /// The key is invalid.
    Key(KeyRejectionReason),
    /// The key was not checked, because its address sent too many invalid ones.
    Unchecked,
    /// The key lacks a scope, or is limited to other tools.
    Scope,
    /// The key or its tenant reached a limit.
    Limit,
}

impl DenialReason {
    const fn action(&self) -> &'static str {
        match self {
            Self::Key(_) | Self::Unchecked => "denied.key",
            Self::Scope => "denied.scope",
            Self::Limit => "denied.limit",
        }
    }

    const fn code(&self) -> &'static str {
        match self {
            Self::Key(reason) => reason.as_str(),
            Self::Unchecked => "not_tried",
            Self::Scope => "missing_scope",
            Self::Limit => "over_limit",
        }
    }
}

/// One kind of denial.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Denial {
    /// The tenant whose log it belongs to.
    pub tenant: TenantId,
    /// The key, where it has a record.
    pub api_key: Option<ApiKeyId>,
    /// Why it was denied.
    pub reason: DenialReason,
    /// The tool, method or limit. Empty for a key.
    pub what: String,
    /// Transport and, over HTTP, address.
    pub source: String,
}

impl Denial {
    /// Whether the request had no valid key, so that it may come from anyone.
    const fn is_unproven(&self) -> bool {
        match self.reason {
            DenialReason::Key(_) | DenialReason::Unchecked => true,
            DenialReason::Scope | DenialReason::Limit => false,
        }
    }

    const fn window(&self) -> Duration {
        if self.is_unproven() {
            UNPROVEN_WINDOW
        } else {
            WINDOW
        }
    }

    const fn max_kinds(&self) -> usize {
        if self.is_unproven() {
            MAX_UNPROVEN_KINDS
        } else {
            MAX_KINDS_PER_TENANT
        }
    }
}

struct Counted {
    since: Instant,
    first: Timestamp,
    unwritten: u64,
}

impl Counted {
    fn new(first: Timestamp) -> Self {
        Self {
            since: Instant::now(),
            first,
            unwritten: 0,
        }
    }
}

type CountsByTenant = HashMap<TenantId, HashMap<Denial, Counted>>;

/// Counts and writes the denials of one process.
#[derive(Clone)]
pub struct DenialRecorder {
    db: ServerDb,
    counts: Arc<Mutex<CountsByTenant>>,
    log: Arc<RefusalLog>,
    writes: TaskTracker,
}

impl DenialRecorder {
    pub(super) fn new(db: ServerDb) -> Self {
        Self {
            db,
            counts: Arc::default(),
            log: Arc::default(),
            writes: TaskTracker::new(),
        }
    }

    fn counts(&self) -> MutexGuard<'_, CountsByTenant> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Logs a refused request for the operator: one line for each address and reason, then once a minute the number of those that
    /// followed. `why` is a fixed text.
    pub(crate) fn log_refusal(&self, address: Option<IpAddr>, why: &'static str) {
        self.log.record(address, why);
    }

    /// Records an invalid key, if it names a tenant that has a log.
    pub fn record_key(&self, rejected: &RejectedKey, source: &str) {
        if rejected.why != KeyRejectionReason::UnknownTenant {
            self.record(Denial {
                tenant: rejected.tenant,
                api_key: rejected.api_key,
                reason: DenialReason::Key(rejected.why),
                what: String::new(),
                source: source.to_owned(),
            });
        }
    }

    /// Records that a principal lacks the scope for a tool or method.
    pub fn record_scope(&self, principal: &Principal, what: &str, source: &str) {
        self.record_principal(principal, DenialReason::Scope, what, source);
    }

    /// Records that a principal reached a limit.
    pub fn record_limit(&self, principal: &Principal, what: &str, source: &str) {
        self.record_principal(principal, DenialReason::Limit, what, source);
    }

    fn record_principal(&self, principal: &Principal, reason: DenialReason, what: &str, source: &str) {
        self.record(Denial {
            tenant: principal.tenant,
            api_key: Some(principal.api_key),
            reason,
            what: what.to_owned(),
            source: source.to_owned(),
        });
    }

    /// Records a denial, in the background.
    pub fn record(&self, mut denial: Denial) {
        let now = Timestamp::now();
        {
            let mut counts = self.counts();
            let of_tenant = counts.entry(denial.tenant).or_default();
            let alike = |other: &&Denial| other.is_unproven() == denial.is_unproven();
            if !of_tenant.contains_key(&denial)
                && of_tenant.keys().filter(alike).count() >= denial.max_kinds()
            {
                denial = Denial {
                    api_key: None,
                    what: AGGREGATED.to_owned(),
                    source: AGGREGATED.to_owned(),
                    ..denial
                };
            }
            if let Some(counted) = of_tenant.get_mut(&denial) {
                counted.unwritten = counted.unwritten.saturating_add(1);
                return;
            }
            of_tenant.insert(denial.clone(), Counted::new(now));
        }
        let recorder = self.clone();
        self.writes
            .spawn(async move { recorder.write(denial, 1, now).await });
    }

    /// Writes what was counted, every 15 seconds, for as long as it is polled.
    pub async fn run(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(FLUSH_INTERVAL).await;
            self.log.flush(false);
            self.flush(false).await;
        }
    }

    /// Writes the counts whose window has ended; with `all`, every count.
    pub async fn flush(&self, all: bool) {
        let due: Vec<(Denial, Counted)> = {
            let mut counts = self.counts();
            let is_due =
                |denial: &Denial, counted: &Counted| all || counted.since.elapsed() >= denial.window();
            let due = counts
                .values_mut()
                .flat_map(|of_tenant| of_tenant.extract_if(|denial, counted| is_due(denial, counted)))
                .collect();
            counts.retain(|_, of_tenant| !of_tenant.is_empty());
            due
        };
        // A few at a time: one tenant's locked log delays no other's.
        futures::stream::iter(due.into_iter().filter(|(_, counted)| counted.unwritten > 0))
            .for_each_concurrent(CONCURRENT_WRITES, |(denial, counted)| {
                self.write(denial, counted.unwritten, counted.first)
            })
            .await;
    }

    /// Writes an entry. If the database is unavailable, the denials are counted again for the next flush.
    async fn write(&self, denial: Denial, count: u64, first: Timestamp) {
        let Err(error) = try_to_write(&self.db, &denial, count, first).await else {
            return;
        };
        if !error.is_unavailable() {
            tracing::error!(%error, tenant = %denial.tenant, count, "a denial could not be written to the audit log");
            return;
        }
        tracing::warn!(%error, tenant = %denial.tenant, count, "a denial is kept until the audit log can be written");
        let mut counts = self.counts();
        let counted = counts
            .entry(denial.tenant)
            .or_default()
            .entry(denial)
            .or_insert_with(|| Counted::new(first));
        counted.unwritten = counted.unwritten.saturating_add(count);
        counted.first = counted.first.min(first);
    }

    /// Writes everything and waits until it is written.
    pub(crate) async fn finish(&self) {
        self.log.flush(true);
        self.writes.close();
        self.writes.wait().await;
        self.flush(true).await;
    }
}

async fn try_to_write(db: &ServerDb, denial: &Denial, count: u64, first: Timestamp) -> Result<(), DbError> {
    let actor = match denial.api_key {
        Some(key) => Actor::Key(key.to_string()),
        None => Actor::System("unknown key".to_owned()),
    };
    let mut details = json!({"reason": denial.reason.code(), "count": count});
    if count > 1
        && let Some(details) = details.as_object_mut()
    {
        details.insert("since".to_owned(), json!(first));
    }
    let entry = Entry {
        actor: &actor,
        action: denial.reason.action(),
        subject: &denial.what,
        details,
        source: &denial.source,
    };
    audit::write_alone(db, denial.tenant, &entry).await
}
