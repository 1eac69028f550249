//! Watches the catalog on behalf of subscribers.
//!
//! Changes are read with the subscriber's own key, so that a key that became invalid receives nothing, and one that is
//! limited to some skills receives those alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ErrorData;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};
use tokio_util::sync::CancellationToken;

use super::errors;
use crate::access::AccessControl;
use crate::db::{ChangeEvent, DbError};
use crate::ids::TenantId;
use crate::registry::listing;
use crate::registry::skill_uri::SkillUri;
use crate::tenancy::{ApiKey, AuthError, Share, ShareExceeded, ShareLimiter, ShareLimits};
use crate::tools::ToolName;

/// The source of denials in the audit log when the key of a subscription is refused.
const SOURCE: &str = "subscription";
/// Subscriptions that one tenant may have at once in one process; one API key at most half of them.
const PER_TENANT: usize = 500;
/// The least time between two notifications to one subscriber: an import of 1,000 skills must not send 1,000.
const MIN_INTERVAL: Duration = Duration::from_millis(500);
/// Milliseconds until a subscriber reads again from a database that did not answer. Random, so that not all do at once.
const RETRY_MS: std::ops::Range<u64> = 500..4_000;
/// Changed skills that are reported one by one; with more, every skill counts as changed.
const MAX_CHANGES: i64 = 1000;

/// The subscriptions of one process.
#[derive(Clone)]
pub(super) struct Subscriptions {
    access: Arc<AccessControl>,
    ended: CancellationToken,
    limiter: ShareLimiter,
}

impl Subscriptions {
    pub(super) fn new(access: Arc<AccessControl>) -> Self {
        Self {
            access,
            ended: CancellationToken::new(),
            limiter: ShareLimiter::new(ShareLimits::of_tenant(PER_TENANT)),
        }
    }

    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    fn take_share(&self, tenant: TenantId, key: &ApiKey) -> Result<Share, ErrorData> {
        self.limiter.take(tenant, key.hash(), 1).map_err(|exceeded| {
            let holder = match exceeded {
                ShareExceeded::Key(limit) => format!("This API key has {limit}"),
                ShareExceeded::Tenant(limit) => format!("Your organisation has {limit}"),
                ShareExceeded::Total => "The server has all its".to_owned(),
            };
            let message = format!(
                "{holder} subscriptions open on this server, which is the limit. Close one, or ask for the lists again from \
                 time to time instead."
            );
            ErrorData::invalid_request(message, None)
        })
    }
}

/// A change of the catalog that the subscriber may see.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    /// The changed skills; `None` for all.
    slugs: Option<BTreeSet<String>>,
}

impl Change {
    /// Whether this URI's skill changed: a version of it was published or withdrawn.
    pub(super) fn touches(&self, uri: &str) -> bool {
        SkillUri::parse(uri)
            .is_some_and(|uri| self.slugs.as_ref().is_none_or(|slugs| slugs.contains(uri.slug())))
    }
}

/// Why a subscription fails.
#[derive(Debug)]
pub(super) enum SubscribeError {
    /// The key is invalid or lacks the permission, or a limit is reached.
    Refused(ErrorData),
    /// The database does not answer; a later attempt may succeed.
    Database(DbError),
}

impl SubscribeError {
    /// The error reply to a request.
    pub(super) fn into_reply(self) -> ErrorData {
        match self {
            Self::Refused(reply) => reply,
            Self::Database(error) => errors::unavailable(&error),
        }
    }
}

impl From<AuthError> for SubscribeError {
    fn from(error: AuthError) -> Self {
        match error {
            AuthError::Db(error) => Self::Database(error),
            AuthError::Invalid(_) => Self::Refused(errors::not_authenticated(&error)),
        }
    }
}

impl From<DbError> for SubscribeError {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

/// Waits before the database is read again.
pub(super) async fn retry_backoff() {
    let pause = rand::random_range(RETRY_MS);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// Watches a tenant's catalog for one subscriber.
pub(super) struct CatalogWatcher {
    access: Arc<AccessControl>,
    key: ApiKey,
    tenant: TenantId,
    /// All changes up to this revision were reported.
    revision: i64,
    events: Receiver<ChangeEvent>,
    ended: CancellationToken,
    _share: Share,
}

impl CatalogWatcher {
    /// Begins to watch with this key.
    ///
    /// # Errors
    /// [`SubscribeError::Refused`] for a key that is invalid or may not search, and when the tenant has 500 subscriptions.
    pub(super) async fn begin(subscriptions: &Subscriptions, key: ApiKey) -> Result<Self, SubscribeError> {
        // Before the revision is read, so that no change between the two is missed.
        let access = &subscriptions.access;
        let events = access.change_events().await?;
        let (tx, principal) = access.begin(&key, SOURCE).await?;
        tx.rollback().await?;
        if !ToolName::SearchSkills.allowed_for(&principal) {
            return Err(SubscribeError::Refused(ErrorData::invalid_request(
                "This API key may not search skills, so it cannot subscribe to their changes.",
                None,
            )));
        }
        let share = subscriptions
            .take_share(principal.tenant, &key)
            .map_err(SubscribeError::Refused)?;
        Ok(Self {
            access: Arc::clone(access),
            key,
            tenant: principal.tenant,
            revision: principal.catalog_revision,
            events,
            ended: subscriptions.ended.clone(),
            _share: share,
        })
    }

    /// The next change that this key may see; `None` when the server stops.
    ///
    /// # Errors
    /// When the key has become invalid.
    pub(super) async fn next(&mut self) -> Result<Option<Change>, ErrorData> {
        loop {
            let ended = self.ended.clone();
            let has_changed = tokio::select! {
                () = ended.cancelled() => false,
                has_changed = self.wait_for_event() => has_changed,
            };
            if !has_changed {
                return Ok(None);
            }
            loop {
                match self.poll_changes().await {
                    Ok(Some(change)) => return Ok(Some(change)),
                    Ok(None) => break,
                    Err(SubscribeError::Refused(reply)) => return Err(reply),
                    // The change is reported once it can be read: the last reported revision is kept.
                    Err(SubscribeError::Database(error)) => {
                        tracing::debug!(%error, "a subscriber waits until the database can be read");
                    }
                }
                tokio::select! {
                    () = ended.cancelled() => return Ok(None),
                    () = retry_backoff() => {}
                }
            }
        }
    }

    /// Waits until the catalog may have changed, then [`MIN_INTERVAL`] for further changes.
    async fn wait_for_event(&mut self) -> bool {
        loop {
            match self.events.recv().await {
                Ok(ChangeEvent::TenantCatalog(tenant)) if tenant != self.tenant => {}
                Ok(ChangeEvent::TenantCatalog(_) | ChangeEvent::Resync) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return false,
            }
        }
        tokio::time::sleep(MIN_INTERVAL).await;
        // Events that came meanwhile are read together with the first.
        while !matches!(
            self.events.try_recv(),
            Err(TryRecvError::Empty | TryRecvError::Closed)
        ) {}
        true
    }

    async fn poll_changes(&mut self) -> Result<Option<Change>, SubscribeError> {
        let (tx, principal) = self.access.begin(&self.key, SOURCE).await?;
        let changed = listing::changed_slugs(&tx, self.revision, MAX_CHANGES).await?;
        tx.rollback().await?;
        let is_all = i64::try_from(changed.len()).unwrap_or(i64::MAX) >= MAX_CHANGES;
        self.revision = principal.catalog_revision;
        let visible: BTreeSet<String> = changed
            .into_iter()
            .filter(|slug| principal.can_view_skill(slug))
            .collect();
        Ok(if is_all {
            Some(Change { slugs: None })
        } else if visible.is_empty() {
            None
        } else {
            Some(Change { slugs: Some(visible) })
        })
    }
}
