//! An endpoint of embeddings in the process of the tests. It knows a few topics: texts with words of a topic have the same direction.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use axum::{Json, Router};
use serde_json::{Value, json};
use skill_embeddings::{EndpointEmbedder, EndpointKey, EndpointSettings};

pub(super) const DIMENSIONS: usize = 4;
pub(super) const KEY: &str = "embeddings-key-of-the-test";

/// Words of the same topic. No word of one line is a form of another.
const TOPICS: [[&str; 3]; 3] = [
    ["tide", "sea level", "moon pull"],
    ["invoice", "bill", "money owed"],
    ["recipe", "cook", "supper"],
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Behaviour {
    Answer,
    /// Answers after ten seconds.
    Slow,
    Fail,
}

/// An endpoint that runs until the test ends.
#[derive(Clone)]
pub(super) struct Endpoint {
    pub(super) url: String,
    state: Arc<Mutex<Recorded>>,
}

struct Recorded {
    behaviour: Behaviour,
    texts: Vec<String>,
}

impl Endpoint {
    pub(super) async fn start() -> Self {
        let state = Arc::new(Mutex::new(Recorded {
            behaviour: Behaviour::Answer,
            texts: Vec::new(),
        }));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new()
            .route("/v1/embeddings", post(answer))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    pub(super) fn behave(&self, behaviour: Behaviour) {
        self.state.lock().unwrap().behaviour = behaviour;
    }

    /// The texts that were sent so far, and forgets them.
    pub(super) fn texts(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().texts)
    }

    pub(super) fn embedder(&self, model: &str, key: &str) -> EndpointEmbedder {
        let mut settings = EndpointSettings::new(self.url.as_str(), model, DIMENSIONS);
        settings.key = Some(EndpointKey::new(key));
        settings.attempts = 1;
        EndpointEmbedder::new(settings).unwrap()
    }
}

async fn answer(
    State(state): State<Arc<Mutex<Recorded>>>,
    headers: HeaderMap,
    Json(request): Json<Value>,
) -> Result<Json<Value>, StatusCode> {
    if headers["authorization"] != format!("Bearer {KEY}") {
        return Err(StatusCode::UNAUTHORIZED);
    }
    let texts: Vec<String> = serde_json::from_value(request["input"].clone()).unwrap();
    let behaviour = {
        let mut state = state.lock().unwrap();
        state.texts.extend(texts.iter().cloned());
        state.behaviour
    };
    match behaviour {
        Behaviour::Answer => {}
        Behaviour::Slow => tokio::time::sleep(Duration::from_secs(10)).await,
        Behaviour::Fail => return Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
    let data: Vec<Value> = (0..)
        .zip(&texts)
        .map(|(index, text): (usize, _)| json!({"index": index, "embedding": vector(text)}))
        .collect();
    Ok(Json(json!({"data": data})))
}

/// The topics of a text; the last number is that of texts without topic.
fn vector(text: &str) -> [f32; DIMENSIONS] {
    let text = text.to_lowercase();
    let mut numbers = [0.0, 0.0, 0.0, 0.1];
    for (number, words) in numbers.iter_mut().zip(TOPICS) {
        if words.iter().any(|word| text.contains(word)) {
            *number = 1.0;
        }
    }
    numbers
}
