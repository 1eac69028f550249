//! The bridge's own requests to its client, whose responses never reach the registry.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::body::Bytes;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::message::RequestId;
use crate::local_install::{ROOTS_TIMEOUT, root_folders};

/// The requests of one session.
pub(super) struct ClientRequests {
    /// The beginning of the ids. It is random, so a registry cannot send the client a request with such an id.
    id_prefix: String,
    /// How long the client may take to respond.
    timeout: Duration,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    /// Set when the client has closed its output, so that no response can come.
    is_closed: bool,
    last_number: u64,
    responses: HashMap<String, oneshot::Sender<Bytes>>,
}

/// A request without a response. Dropping it ends the wait.
struct OpenRequest<'a> {
    requests: &'a ClientRequests,
    id: String,
    response: oneshot::Receiver<Bytes>,
}

impl Drop for OpenRequest<'_> {
    fn drop(&mut self) {
        self.requests.waiting().responses.remove(&self.id);
    }
}

#[derive(Deserialize)]
struct RootsResponse {
    result: RootsResult,
}

#[derive(Deserialize)]
struct RootsResult {
    roots: Vec<Root>,
}

#[derive(Deserialize)]
struct Root {
    uri: String,
}

impl ClientRequests {
    pub(super) fn new() -> Self {
        Self {
            id_prefix: format!("skillkeep-bridge-{:032x}-", rand::random::<u128>()),
            timeout: ROOTS_TIMEOUT,
            waiting: Mutex::default(),
        }
    }

    /// Asks the client for its project folders (`roots/list`). Empty if it does not name any within 5 s.
    pub(super) async fn roots(&self, out: &mpsc::Sender<Vec<u8>>) -> Vec<PathBuf> {
        let Some(mut request) = self.open() else {
            return Vec::new();
        };
        let line = json!({"jsonrpc": "2.0", "id": request.id, "method": "roots/list"}).to_string();
        let asking = async {
            out.send(line.into_bytes()).await.ok()?;
            (&mut request.response).await.ok()
        };
        let Ok(response) = timeout(self.timeout, asking).await else {
            tracing::warn!("the client did not name its project folders in time");
            return Vec::new();
        };
        let named = response.and_then(|text| serde_json::from_slice::<RootsResponse>(&text).ok());
        let Some(named) = named else {
            tracing::warn!("the client did not name its project folders");
            return Vec::new();
        };
        root_folders(named.result.roots.into_iter().map(|root| root.uri).collect()).await
    }

    /// Takes a response of the client to a request of the bridge, also one that comes too late. `false` if the response is for
    /// the registry.
    pub(super) fn take_response(&self, id: &RequestId, text: &Bytes) -> bool {
        let Some(id) = id.value().as_str().filter(|id| id.starts_with(&self.id_prefix)) else {
            return false;
        };
        match self.waiting().responses.remove(id) {
            // Sending fails when the request was cancelled at the same time.
            Some(waiting) => drop(waiting.send(text.clone())),
            None => tracing::info!("the client's response came too late"),
        }
        true
    }

    /// Ends every wait, because the client has closed its output.
    pub(super) fn close(&self) {
        let mut waiting = self.waiting();
        waiting.is_closed = true;
        waiting.responses.clear();
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // A panic cannot leave the map half changed: each change is one insertion or removal.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `None` if no response can come.
    fn open(&self) -> Option<OpenRequest<'_>> {
        let (sender, response) = oneshot::channel();
        let mut waiting = self.waiting();
        if waiting.is_closed {
            return None;
        }
        waiting.last_number += 1;
        let id = format!("{}{}", self.id_prefix, waiting.last_number);
        waiting.responses.insert(id.clone(), sender);
        Some(OpenRequest {
            requests: self,
            id,
            response,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use serde_json::Value;

    use super::*;

    /// Starts to ask, and returns the id of the request.
    async fn asking(requests: &Arc<ClientRequests>) -> (RequestId, tokio::task::JoinHandle<Vec<PathBuf>>) {
        let (out, mut lines) = mpsc::channel(1);
        let asking = Arc::clone(requests);
        let asked = tokio::spawn(async move { asking.roots(&out).await });
        let line: Value = serde_json::from_slice(&lines.recv().await.unwrap()).unwrap();
        assert_eq!(line["method"], "roots/list", "{line}");
        (RequestId::parse(&line["id"]).unwrap(), asked)
    }

    fn answer(roots: &Value) -> Bytes {
        json!({"jsonrpc": "2.0", "id": 1, "result": {"roots": roots}})
            .to_string()
            .into()
    }

    #[tokio::test]
    async fn each_response_goes_to_its_request() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let requests = Arc::new(ClientRequests::new());
        let (first, first_roots) = asking(&requests).await;
        let (second, second_roots) = asking(&requests).await;
        assert_ne!(first, second);
        for (id, folder) in [(&second, &two), (&first, &one)] {
            let uri = format!("file://{}", folder.path().display());
            assert!(requests.take_response(id, &answer(&json!([{"uri": uri, "name": "shop"}]))));
        }
        assert_eq!(first_roots.await.unwrap(), [one.path()]);
        assert_eq!(second_roots.await.unwrap(), [two.path()]);
        assert!(
            requests.take_response(&first, &answer(&json!([]))),
            "a second response"
        );
        for foreign in [json!(1), json!("1"), json!("skillkeep-bridge-1"), json!("")] {
            let id = RequestId::parse(&foreign).unwrap();
            assert!(!requests.take_response(&id, &answer(&json!([]))), "{foreign}");
        }
    }

    #[tokio::test]
    async fn invalid_response_names_no_folder() {
        let requests = Arc::new(ClientRequests::new());
        let folder = tempfile::tempdir().unwrap();
        let uri = format!("file://{}", folder.path().display());
        let many = vec![json!({"uri": uri}); 10_000];
        for text in [
            Bytes::from("{\"error\": {\"code\": -32601, \"message\": \"no\"}}"),
            Bytes::from("{\"result\": 7}"),
            Bytes::from("{\"result\": {}}"),
            answer(&json!({})),
            answer(&json!([uri])),
            answer(&json!([{"uri": 7}])),
            answer(&json!([{"uri": uri}, {}])),
            answer(&json!(many)),
        ] {
            let (id, roots) = asking(&requests).await;
            assert!(requests.take_response(&id, &text));
            assert_eq!(roots.await.unwrap(), Vec::<PathBuf>::new(), "{text:?}");
        }
    }

    #[tokio::test]
    async fn client_that_does_not_answer_or_read_is_not_waited_for() {
        let requests = Arc::new(ClientRequests {
            timeout: Duration::from_millis(50),
            ..ClientRequests::new()
        });
        let (id, roots) = asking(&requests).await;
        assert_eq!(roots.await.unwrap(), Vec::<PathBuf>::new());
        assert!(requests.take_response(&id, &answer(&json!([]))), "too late");
        let (out, _lines) = mpsc::channel(1);
        out.send(Vec::new()).await.unwrap();
        assert_eq!(requests.roots(&out).await, Vec::<PathBuf>::new());
        assert!(requests.waiting().responses.is_empty());
    }

    #[tokio::test]
    async fn nothing_waits_when_the_client_is_gone_or_the_call_is_cancelled() {
        let requests = Arc::new(ClientRequests::new());
        let (_, cancelled) = asking(&requests).await;
        cancelled.abort();
        assert!(cancelled.await.unwrap_err().is_cancelled());
        assert!(requests.waiting().responses.is_empty());
        let (_, roots) = asking(&requests).await;
        requests.close();
        assert_eq!(roots.await.unwrap(), Vec::<PathBuf>::new());
        let (out, mut lines) = mpsc::channel(1);
        assert_eq!(requests.roots(&out).await, Vec::<PathBuf>::new());
        assert!(lines.try_recv().is_err(), "the client was asked");
    }
}
