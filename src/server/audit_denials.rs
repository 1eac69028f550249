//! What was refused, for the audit log: keys that do not hold, scopes that are missing, limits that are reached.
//!
//! The first refusal of a kind is written at once. Those that follow within a minute are counted and written as one, so that
//! nobody can fill the log by asking again and again. Writing is nobody's to wait for: a refusal must not take longer for a
//! tenant that exists than for one that does not.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use jiff::Timestamp;
use serde_json::json;
use tokio_util::task::TaskTracker;

use crate::db::{DbError, ServerDb};
use crate::ids::{ApiKeyId, TenantId};
use crate::registry::audit::{self, Actor, Entry};
use crate::tenancy::{KeyRejectionReason, RejectedKey};

/// How long refusals of a kind are counted before they are written.
const WINDOW: Duration = Duration::from_secs(60);
/// Kinds of refusals of one tenant that are told apart within a minute. Whoever comes from ever new addresses, or asks for ever
/// new things, would otherwise fill the log all the same.
const KINDS_A_TENANT: usize = 100;
/// How often what was counted is looked through.
const LOOKED_THROUGH: Duration = Duration::from_secs(15);
/// Entries of different refusals that are written at once.
const WRITTEN_AT_ONCE: usize = 4;
/// What stands for what is not told apart any more.
const MANY: &str = "many";

/// Why something was refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Reason {
    /// The key does not hold.
    Key(KeyRejectionReason),
    /// So many bad keys came from the same address that this one was not tried.
    Untried,
    /// The key lacks a scope, or is limited to other tools.
    Scope,
    /// More calls than the key or its tenant may make.
    Limit,
}

impl Reason {
    const fn action(&self) -> &'static str {
        match self {
            Self::Key(_) | Self::Untried => "denied.key",
            Self::Scope => "denied.scope",
            Self::Limit => "denied.limit",
        }
    }

    const fn word(&self) -> &'static str {
        match self {
            Self::Key(refusal) => refusal.as_str(),
            Self::Untried => "not_tried",
            Self::Scope => "missing_scope",
            Self::Limit => "over_limit",
        }
    }
}

/// One kind of refusal.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Denial {
    /// Whose log it belongs to.
    pub tenant: TenantId,
    /// The key, where it has a record.
    pub api_key: Option<ApiKeyId>,
    /// Why it was refused.
    pub reason: Reason,
    /// What was asked for: a tool, a method, or nothing in particular.
    pub what: String,
    /// Where it came from: a transport, over HTTP with the address.
    pub source: String,
}

impl Denial {
    /// Of a key that does not hold; `None` where there is no tenant whose log could tell of it.
    #[must_use]
    pub fn of_key(refused: &RejectedKey, source: &str) -> Option<Self> {
        (refused.why != KeyRejectionReason::UnknownTenant).then(|| Self {
            tenant: refused.tenant,
            api_key: refused.api_key,
            reason: Reason::Key(refused.why),
            what: String::new(),
            source: source.to_owned(),
        })
    }
}

struct Counted {
    since: Instant,
    first: Timestamp,
    unwritten: u64,
}

/// The refusals of one process.
#[derive(Clone)]
pub struct DenialRecorder {
    db: ServerDb,
    counted: Arc<Mutex<HashMap<TenantId, HashMap<Denial, Counted>>>>,
    writing: TaskTracker,
}

impl DenialRecorder {
    pub(super) fn new(db: ServerDb) -> Self {
        Self {
            db,
            counted: Arc::default(),
            writing: TaskTracker::new(),
        }
    }

    /// Notes a refusal. It is written in the background.
    pub fn note(&self, mut denial: Denial) {
        let now = Timestamp::now();
        {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            let of_tenant = counted.entry(denial.tenant).or_default();
            if of_tenant.len() >= KINDS_A_TENANT && !of_tenant.contains_key(&denial) {
                denial = Denial {
                    api_key: None,
                    what: MANY.to_owned(),
                    source: MANY.to_owned(),
                    ..denial
                };
            }
            if let Some(before) = of_tenant.get_mut(&denial) {
                before.unwritten = before.unwritten.saturating_add(1);
                return;
            }
            let begun = Counted {
                since: Instant::now(),
                first: now,
                unwritten: 0,
            };
            of_tenant.insert(denial.clone(), begun);
        }
        let denials = self.clone();
        self.writing
            .spawn(async move { denials.write(denial, 1, now).await });
    }

    /// Writes what was counted, every so often, for as long as it is polled.
    pub async fn keep_writing(&self) -> std::convert::Infallible {
        loop {
            tokio::time::sleep(LOOKED_THROUGH).await;
            self.write_counted(false).await;
        }
    }

    /// Writes what was counted and whose minute is over; with `all`, whatever there is.
    pub async fn write_counted(&self, all: bool) {
        let due: Vec<(Denial, Counted)> = {
            let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
            let is_due = |count: &Counted| all || count.since.elapsed() >= WINDOW;
            let due = counted
                .values_mut()
                .flat_map(|of_tenant| of_tenant.extract_if(|_, count| is_due(count)))
                .collect();
            counted.retain(|_, of_tenant| !of_tenant.is_empty());
            due
        };
        // A few at a time: the log of a tenant that waits for its turn holds up no other's.
        futures::stream::iter(due.into_iter().filter(|(_, count)| count.unwritten > 0))
            .for_each_concurrent(WRITTEN_AT_ONCE, |(denial, count)| {
                self.write(denial, count.unwritten, count.first)
            })
            .await;
    }

    /// Writes an entry. Where the database cannot take it now, it is counted again for the next time.
    async fn write(&self, denial: Denial, count: u64, first: Timestamp) {
        let Err(error) = try_to_write(&self.db, &denial, count, first).await else {
            return;
        };
        if !error.is_unavailable() {
            tracing::error!(%error, tenant = %denial.tenant, count, "a refusal could not be written to the audit log");
            return;
        }
        tracing::warn!(%error, tenant = %denial.tenant, count, "a refusal waits to be written to the audit log");
        let mut counted = self.counted.lock().unwrap_or_else(PoisonError::into_inner);
        let again = counted
            .entry(denial.tenant)
            .or_default()
            .entry(denial)
            .or_insert_with(|| Counted {
                since: Instant::now(),
                first,
                unwritten: 0,
            });
        again.unwritten = again.unwritten.saturating_add(count);
        again.first = again.first.min(first);
    }

    /// Writes everything and waits until it is written.
    pub(super) async fn finish(&self) {
        self.writing.close();
        self.writing.wait().await;
        self.write_counted(true).await;
    }
}

async fn try_to_write(db: &ServerDb, denial: &Denial, count: u64, first: Timestamp) -> Result<(), DbError> {
    let actor = match denial.api_key {
        Some(key) => Actor::Key(key.to_string()),
        None => Actor::System("unknown key".to_owned()),
    };
    let mut details = json!({"reason": denial.reason.word(), "count": count});
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
