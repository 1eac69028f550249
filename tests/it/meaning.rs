//! Searches by meaning: the vectors of each tenant, computed in the background, and combined with words.

mod endpoint;

use std::sync::Arc;
use std::time::{Duration, Instant};

use endpoint::{Behaviour, Endpoint, KEY};
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::search::Meaning;
use skillkeep::server::{CallService, ServiceLimits};

use crate::harness::{Client, TestDb};
use crate::http_server::PATIENCE;

struct Registry {
    db: TestDb,
    endpoint: Endpoint,
    tenant: TenantId,
    client: Client,
}

impl Registry {
    async fn new() -> Self {
        let (db, endpoint) = (TestDb::new().await, Endpoint::start().await);
        let tenant = db.tenant("acme").await;
        let client = Client::connect(&service(&db, &endpoint, "m", KEY), &db.full_key(tenant).await).await;
        Self {
            db,
            endpoint,
            tenant,
            client,
        }
    }

    /// A client of another process with this model and key of the endpoint.
    async fn other(&self, model: &str, key: &str) -> Client {
        let service = service(&self.db, &self.endpoint, model, key);
        Client::connect(&service, &self.db.full_key(self.tenant).await).await
    }

    /// Publishes and waits for the vectors.
    async fn publish(&self, skills: &[(&str, &str)]) {
        for (name, description) in skills {
            publish(&self.client, name, description).await;
        }
        self.wait_for_vectors(self.tenant, "m", skills.len()).await;
    }

    async fn vectors(&self, tenant: TenantId, model: &str) -> usize {
        let count: i64 = self
            .db
            .value(&format!(
                "SELECT count(*) FROM skill_embeddings WHERE tenant_id = '{tenant}' AND model = '{model}'"
            ))
            .await;
        usize::try_from(count).unwrap()
    }

    async fn wait_for_vectors(&self, tenant: TenantId, model: &str, expected: usize) {
        let start = Instant::now();
        while self.vectors(tenant, model).await != expected {
            assert!(start.elapsed() < PATIENCE, "no {expected} vectors of {model}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

fn service(db: &TestDb, endpoint: &Endpoint, model: &str, key: &str) -> Arc<CallService> {
    let meaning = Meaning::new(Arc::new(endpoint.embedder(model, key)), 4);
    let service = CallService::new(db.server.clone(), ServiceLimits::default());
    Arc::new(service.with_meaning(Some(Arc::new(meaning))))
}

async fn publish(client: &Client, name: &str, description: &str) {
    let text = format!("---\nname: {name}\ndescription: {description}\n---\n\nDo it.\n");
    let files = json!({"files": [{"path": "SKILL.md", "text": text}]});
    client.ok("publish_skill", files).await;
}

async fn search(client: &Client, query: &str) -> Value {
    client.ok("search_skills", json!({"query": query})).await
}

fn slugs(answer: &Value) -> Vec<&str> {
    let hits = answer["hits"].as_array().unwrap();
    hits.iter().map(|hit| hit["skill"].as_str().unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn skill_in_other_words_is_found_by_meaning() {
    let registry = Registry::new().await;
    registry
        .publish(&[("harbour", "Reads tide tables"), ("ledger", "Writes an invoice")])
        .await;
    let answer = search(&registry.client, "what is the sea level").await;
    assert_eq!(slugs(&answer)[0], "harbour", "{answer}");
    assert_eq!(answer["hits"][0]["why"], "meaning", "{answer}");
    let answer = search(&registry.client, "money owed").await;
    assert_eq!(slugs(&answer)[0], "ledger", "{answer}");
    assert!(
        !answer["next_step"].as_str().unwrap().contains("Words only"),
        "{answer}"
    );
}
