//! What subscribers are sent: to `subscriptions/listen` of the newest revision, and to connections of the older ones.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use rmcp::model::{ResourceUpdatedNotificationParam, SubscriptionFilter};
use rmcp::service::{Peer, SubscriptionContext};
use rmcp::{ErrorData, RoleServer};

use super::service::CallService;
use super::subscriptions::{CatalogWatcher, SubscribeError, retry_backoff};
use crate::registry::skill_uri::SkillUri;
use crate::tenancy::ApiKey;

/// URIs that one connection may subscribe to.
const MAX_URIS: usize = 1000;

/// Of what a client asks to be told of, what there is to tell: that prompts and resources changed. The tools do not.
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

/// `subscriptions/listen`: tells of changes until it is cancelled, the key ends, or the server stops.
pub(super) async fn listen(
    service: &Arc<CallService>,
    key: ApiKey,
    subscription: SubscriptionContext,
) -> Result<(), ErrorData> {
    let mut watch = CatalogWatcher::begin(service, key)
        .await
        .map_err(SubscribeError::into_answer)?;
    let accepted = subscription.accepted().clone();
    let sink = subscription.sink();
    loop {
        let change = tokio::select! {
            () = subscription.cancelled() => return Ok(()),
            change = watch.next() => change?,
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
            // Nobody is there to be told.
            return Ok(());
        }
    }
}

/// What a connection of the older revisions has subscribed to by `resources/subscribe`.
#[derive(Clone, Default)]
pub(super) struct ResourceSubscriptions(Arc<Mutex<BTreeSet<String>>>);

impl ResourceSubscriptions {
    pub(super) fn add(&self, uri: String) -> Result<(), ErrorData> {
        if SkillUri::parse(&uri).is_none() {
            let data = Some(serde_json::json!({"uri": uri}));
            return Err(ErrorData::resource_not_found(
                "There is no such resource in this registry. resources/list shows what there is.",
                data,
            ));
        }
        let mut uris = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if uris.len() >= MAX_URIS && !uris.contains(&uri) {
            let words = format!(
                "A connection may subscribe to {MAX_URIS} resources, and this one has. Unsubscribe from one."
            );
            return Err(ErrorData::invalid_request(words, None));
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

/// Tells a connection of the older revisions of every change while it lasts.
pub(super) async fn forward_changes(
    service: Arc<CallService>,
    key: ApiKey,
    peer: Peer<RoleServer>,
    subscribed: ResourceSubscriptions,
) {
    let mut watch = loop {
        match CatalogWatcher::begin(&service, key.clone()).await {
            Ok(watch) => break watch,
            Err(SubscribeError::Refused(error)) => {
                // The client asked for nothing here, so there is no request to refuse: it lists again when it needs to.
                tracing::debug!(%error, "a connection is not told of changes");
                return;
            }
            Err(SubscribeError::Database(error)) => {
                tracing::debug!(%error, "a connection is not told of changes yet");
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
            change = watch.next() => change,
        };
        let Ok(Some(change)) = change else {
            return;
        };
        let mut is_there = peer.notify_resource_list_changed().await.is_ok()
            && peer.notify_prompt_list_changed().await.is_ok();
        for uri in subscribed.all() {
            if change.touches(&uri) {
                let update = ResourceUpdatedNotificationParam::new(uri);
                is_there &= peer.notify_resource_updated(update).await.is_ok();
            }
        }
        if !is_there {
            return;
        }
    }
}

/// The framework tells whether a connection is closed, not when.
async fn closed(peer: &Peer<RoleServer>) {
    while !peer.is_transport_closed() {
        tokio::time::sleep(std::time::Duration::from_secs(5)).await;
    }
}
