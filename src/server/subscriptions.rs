//! Tells clients that the catalog changed: those who listen in the newest revision, and those of the older revisions
//! that have a connection.
//!
//! What changed is read with the subscriber's own key, so a key that no longer holds hears nothing, and one that is
//! limited to some skills hears of those alone.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ErrorData;
use tokio::sync::broadcast::error::RecvError;
use tokio::sync::broadcast::{Receiver, error::TryRecvError};
use tokio_util::sync::CancellationToken;

use super::service::{CallService, unavailable};
use crate::db::{ChangeEvent, DbError};
use crate::ids::TenantId;
use crate::registry::listing;
use crate::registry::skill_uri::SkillUri;
use crate::tenancy::{ApiKey, AuthError, TenantPermit, TenantSemaphore, authenticate};
use crate::tools::ToolName;

/// Subscriptions that one tenant may have at once in one process.
const PER_TENANT: usize = 500;
/// The least time between two messages to one subscriber: an import of a thousand skills is not a thousand messages.
const PAUSE: Duration = Duration::from_millis(500);
/// How long a subscriber waits, in milliseconds, before he looks again at a database that did not answer: not all in the same moment.
const LOOK_AGAIN_MS: std::ops::Range<u64> = 500..4_000;
/// Changed skills that are looked at one by one; where there are more, all of them count as changed.
const MAX_CHANGES: i64 = 1000;

/// The subscriptions of one process.
pub(super) struct Subscriptions {
    ended: CancellationToken,
    places: TenantSemaphore,
}

impl Default for Subscriptions {
    fn default() -> Self {
        Self {
            ended: CancellationToken::new(),
            places: TenantSemaphore::new(PER_TENANT),
        }
    }
}

impl Subscriptions {
    pub(super) fn end(&self) {
        self.ended.cancel();
    }

    fn take_place(&self, tenant: TenantId) -> Result<TenantPermit, ErrorData> {
        self.places.take(tenant).ok_or_else(|| {
            let words = format!(
                "Your organisation has {PER_TENANT} subscriptions open on this server, which is as many as it may have. \
                 Close one, or ask for the lists again now and then instead."
            );
            ErrorData::invalid_request(words, None)
        })
    }
}

/// What a subscriber is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Change {
    slugs: Option<BTreeSet<String>>,
}

impl Change {
    /// Whether the skill that this URI belongs to changed: a version of it was published or withdrawn.
    pub(super) fn touches(&self, uri: &str) -> bool {
        SkillUri::parse(uri)
            .is_some_and(|uri| self.slugs.as_ref().is_none_or(|slugs| slugs.contains(uri.slug())))
    }
}

/// Why somebody is not told of changes.
#[derive(Debug)]
pub(super) enum SubscribeError {
    /// He may not be.
    Refused(ErrorData),
    /// The database does not answer, and may do so later.
    Database(DbError),
}

impl SubscribeError {
    fn of_key(service: &CallService, error: AuthError) -> Self {
        match error {
            AuthError::Db(error) => Self::Database(error),
            error @ AuthError::Invalid(_) => Self::Refused(service.refuse(&error, "subscription")),
        }
    }

    /// As the answer to a request.
    pub(super) fn into_answer(self) -> ErrorData {
        match self {
            Self::Refused(answer) => answer,
            Self::Database(error) => unavailable(&error),
        }
    }
}

impl From<DbError> for SubscribeError {
    fn from(error: DbError) -> Self {
        Self::Database(error)
    }
}

/// Waits before the database is asked again.
pub(super) async fn retry_backoff() {
    let pause = rand::random_range(LOOK_AGAIN_MS);
    tokio::time::sleep(Duration::from_millis(pause)).await;
}

/// One subscriber's watch over his tenant's catalog.
pub(super) struct CatalogWatcher {
    service: Arc<CallService>,
    key: ApiKey,
    tenant: TenantId,
    /// All changes up to this revision have been told.
    revision: i64,
    notices: Receiver<ChangeEvent>,
    ended: CancellationToken,
    _place: TenantPermit,
}

impl CatalogWatcher {
    /// Watches on behalf of this key.
    ///
    /// # Errors
    /// When the key does not hold, may not look through the catalog, or its tenant watches too much already; and when the
    /// database does not answer.
    pub(super) async fn begin(service: &Arc<CallService>, key: ApiKey) -> Result<Self, SubscribeError> {
        // Before the revision is read, so that nothing is missed between the two.
        let notices = service.db().notices().await?;
        let entered = authenticate(service.db(), &key).await;
        let (tx, principal) = entered.map_err(|error| SubscribeError::of_key(service, error))?;
        tx.roll_back().await?;
        if !ToolName::SearchSkills.allowed_for(&principal) {
            return Err(SubscribeError::Refused(ErrorData::invalid_request(
                "This API key may not search skills, so there are no changes that it could be told of.",
                None,
            )));
        }
        let place = service.subscriptions.take_place(principal.tenant);
        let place = place.map_err(SubscribeError::Refused)?;
        Ok(Self {
            service: Arc::clone(service),
            key,
            tenant: principal.tenant,
            revision: principal.catalog_revision,
            notices,
            ended: service.subscriptions.ended.clone(),
            _place: place,
        })
    }

    /// The next change that this key may know of; `None` when the server stops.
    ///
    /// # Errors
    /// When the key does not hold any more.
    pub(super) async fn next(&mut self) -> Result<Option<Change>, ErrorData> {
        loop {
            let ended = self.ended.clone();
            let noticed = tokio::select! {
                () = ended.cancelled() => false,
                noticed = self.noticed() => noticed,
            };
            if !noticed {
                return Ok(None);
            }
            loop {
                match self.look().await {
                    Ok(Some(change)) => return Ok(Some(change)),
                    Ok(None) => break,
                    Err(SubscribeError::Refused(answer)) => return Err(answer),
                    // What changed is told when it can be read: the revision up to which all was told is known.
                    Err(SubscribeError::Database(error)) => {
                        tracing::debug!(%error, "a subscriber waits until what changed can be read");
                    }
                }
                tokio::select! {
                    () = ended.cancelled() => return Ok(None),
                    () = retry_backoff() => {}
                }
            }
        }
    }

    /// Waits until something may have changed, then a moment for what comes right after it.
    async fn noticed(&mut self) -> bool {
        loop {
            match self.notices.recv().await {
                Ok(ChangeEvent::TenantCatalog(tenant)) if tenant != self.tenant => {}
                Ok(ChangeEvent::TenantCatalog(_) | ChangeEvent::Resync) | Err(RecvError::Lagged(_)) => break,
                Err(RecvError::Closed) => return false,
            }
        }
        tokio::time::sleep(PAUSE).await;
        // What has come by now is read together with the first.
        while !matches!(
            self.notices.try_recv(),
            Err(TryRecvError::Empty | TryRecvError::Closed)
        ) {}
        true
    }

    async fn look(&mut self) -> Result<Option<Change>, SubscribeError> {
        let entered = authenticate(self.service.db(), &self.key).await;
        let (tx, principal) = entered.map_err(|error| SubscribeError::of_key(&self.service, error))?;
        let changed = listing::changed_slugs(&tx, self.revision, MAX_CHANGES).await?;
        tx.roll_back().await?;
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
