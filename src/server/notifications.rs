//! Change notifications: for `subscriptions/listen` of protocol version 2026-07-28, and for connections of older versions.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{Peer, SubscriptionContext};
use rmcp::{ErrorData, RoleServer};

use super::subscriptions::{CatalogWatcher, SubscribeError, Subscriptions, retry_backoff};
use crate::registry::skill_uri::SkillUri;
use crate::tenancy::ApiKey;

/// URIs that one connection may subscribe to.
const MAX_URIS: usize = 1000;

/// The part of a requested filter that is served: prompts and resources change, tools do not.
pub(super) fn accepted(requested: &SubscriptionFilter) -> SubscriptionFilter {
    let mut accepted = SubscriptionFilter::new();
    accepted.prompts_list_changed = requested.prompts_list_changed;
    accepted.resources_list_changed = requested.resources_list_changed;
    accepted.resource_subscriptions = requested.resource_subscriptions.as_ref().map(|uris| {
        uris.iter()
            .filter(|uri| SkillUri::parse(uri).is_some())
            .take(MAX_URIS)
            .cloned()
            .collect()
    });
    accepted
}

/// Serves `subscriptions/listen` until it is cancelled, the key becomes invalid, or the server stops.
pub(super) async fn listen(
    subscriptions: &Subscriptions,
    key: ApiKey,
    subscription: SubscriptionContext,
) -> Result<(), ErrorData> {
    let mut watcher = CatalogWatcher::begin(subscriptions, key)
        .await
        .map_err(SubscribeError::into_reply)?;
    let accepted = subscription.accepted().clone();
    let sink = subscription.sink();
    loop {
        let change = tokio::select! {
            () = subscription.cancelled() => return Ok(()),
            change = watcher.next() => change?,
        };
        let Some(change) = change else {
            return Ok(());
        };
        let mut sent = Vec::new();
        if accepted.resources_list_changed == Some(true) {
            sent.push(sink.notify_resource_list_changed().await);
        }
        if accepted.prompts_list_changed == Some(true) {
            sent.push(sink.notify_prompt_list_changed().await);
        }
        for uri in accepted.resource_subscriptions.iter().flatten() {
            if change.touches(uri) {
                sent.push(sink.notify_resource_updated(uri).await);
            }
        }
        if sent.iter().any(Result::is_err) {
            // The client is gone.
            return Ok(());
        }
    }
}

/// The resources that a connection subscribed to with `resources/subscribe`, before protocol version 2026-07-28.
#[derive(Clone, Default)]
pub(super) struct ResourceSubscriptions(Arc<Mutex<BTreeSet<String>>>);

impl ResourceSubscriptions {
    pub(super) fn add(&self, uri: String) -> Result<(), ErrorData> {
        if SkillUri::parse(&uri).is_none() {
            let data = Some(serde_json::json!({"uri": uri}));
            return Err(ErrorData::resource_not_found(
                "There is no such resource in this registry. resources/list shows the resources.",
                data,
            ));
        }
        let mut uris = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uris.len() >= MAX_URIS && !uris.contains(&uri) {
            let message = format!(
                "This connection is subscribed to {MAX_URIS} resources, which is its limit. Unsubscribe from one first."
            );
            return Err(ErrorData::invalid_request(message, None));
        }
        uris.insert(uri);
        Ok(())
    }

    pub(super) fn remove(&self, uri: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(uri);
    }

    fn all(&self) -> Vec<String> {
        let uris = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        uris.iter().cloned().collect()
    }
}

/// Notifies a connection of a protocol version before 2026-07-28 of every change, until it closes.
pub(super) async fn forward_changes(
    subscriptions: Subscriptions,
    key: ApiKey,
    peer: Peer<RoleServer>,
    subscribed: ResourceSubscriptions,
) {
    let mut watcher = loop {
        match CatalogWatcher::begin(&subscriptions, key.clone()).await {
            Ok(watcher) => break watcher,
            Err(SubscribeError::Refused(error)) => {
                // No request asked for this, so there is none to answer with an error.
                tracing::debug!(%error, "a connection gets no change notifications");
                return;
            }
            Err(SubscribeError::Database(error)) => {
                tracing::debug!(%error, "a connection gets no change notifications yet");
            }
        }
        tokio::select! {
            () = closed(&peer) => return,
            () = retry_backoff() => {}
        }
    };
    loop {
        let change = tokio::select! {
            () = closed(&peer) => return,
            change = watcher.next() => change,
        };
        let Ok(Some(change)) = change else {
            return;
        };
        let mut is_open = peer.notify_resource_list_changed().await.is_ok()
            && peer.notify_prompt_list_changed().await.is_ok();
        for uri in subscribed.all() {
            if change.touches(&uri) {
                let update = ResourceUpdatedNotificationParam::new(uri);
                is_open &= peer.notify_resource_updated(update).await.is_ok();
            }
        }
        if !is_open {
            return;
        }
    }
}

/// Resolves when the connection is closed. Polls every 5 seconds: rmcp sends no event.
async fn closed(peer: &Peer<RoleServer>) {
    while !peer.is_transport_closed() {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }
}
