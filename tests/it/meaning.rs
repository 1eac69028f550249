//! Searches by meaning: the vectors of each tenant, computed in the background, and combined with words.

mod endpoint;
mod ranking;

use std::sync::Arc;
use std::time::{Duration, Instant};

use endpoint::{Behaviour, Endpoint, KEY};
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::search::Meaning;
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::Scope;

use crate::command::{CommandOutput, admin, program_as};
use crate::harness::{Client, TestDb};
use crate::http_server::PATIENCE;
use crate::methods::KeyLimits;

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

    /// Runs the program as administrator, with the endpoint as provider.
    fn command(&self, arguments: &[&str], model: &str, key: &str) -> CommandOutput {
        let mut command = program_as("skillkeep_admin", &self.db, arguments);
        command
            .env("SKILLKEEP_EMBEDDINGS_URL", &self.endpoint.url)
            .env("SKILLKEEP_EMBEDDINGS_MODEL", model)
            .env(
                "SKILLKEEP_EMBEDDINGS_DIMENSIONS",
                endpoint::DIMENSIONS.to_string(),
            )
            .env("SKILLKEEP_EMBEDDINGS_KEY", key);
        CommandOutput::of(&mut command)
    }

    /// Waits until this version of the skill is the only one with a vector.
    async fn wait_for_stored(&self, skill: &str, version: &str) {
        let query = format!(
            "SELECT coalesce(string_agg(v.version, ','), '') FROM skill_embeddings e
             JOIN skill_versions v ON v.id = e.version_id JOIN skills s ON s.id = v.skill_id WHERE s.slug = '{skill}'"
        );
        let start = Instant::now();
        while self.db.value::<String>(&query).await != version {
            assert!(start.elapsed() < PATIENCE, "{skill} {version} has no vector");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
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

#[tokio::test(flavor = "multi_thread")]
async fn vectors_of_another_tenant_find_nothing() {
    let registry = Registry::new().await;
    let theirs = registry.db.tenant("theirs").await;
    let service = service(&registry.db, &registry.endpoint, "m", KEY);
    let their_client = Client::connect(&service, &registry.db.full_key(theirs).await).await;
    publish(&their_client, "their-harbour", "Reads tide tables").await;
    registry.wait_for_vectors(theirs, "m", 1).await;
    registry.publish(&[("ledger", "Writes an invoice")]).await;
    // In the process that has the other tenant's vectors in memory.
    let mine = Client::connect(&service, &registry.db.full_key(registry.tenant).await).await;
    assert_eq!(
        slugs(&search(&their_client, "sea level").await),
        ["their-harbour"]
    );
    assert_eq!(slugs(&search(&mine, "sea level").await), ["ledger"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn meaning_finds_only_what_key_and_filters_allow() {
    let registry = Registry::new().await;
    registry
        .publish(&[("harbour", "Reads tide tables"), ("ledger", "Writes an invoice")])
        .await;
    let service = service(&registry.db, &registry.endpoint, "m", KEY);
    let limits = KeyLimits {
        scopes: &[Scope::SkillsRead],
        only_skills: Some(&["ledger"]),
        only_tools: None,
    };
    let key = limits.key(&registry.db, registry.tenant).await;
    let limited = Client::connect(&service, &key).await;
    let answer = search(&limited, "sea level").await;
    assert_eq!(slugs(&answer), ["ledger"], "{answer}");
    let query = json!({"query": "sea level", "tag": "missing"});
    let answer = registry.client.ok("search_skills", query).await;
    assert_eq!(slugs(&answer), [""; 0], "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_endpoint_delays_a_search_by_its_budget_only() {
    let registry = Registry::new().await;
    registry.publish(&[("harbour", "Reads tide tables")]).await;
    let at_once = search(&registry.client, "tide").await;
    registry.endpoint.behave(Behaviour::Slow);
    let start = Instant::now();
    let answer = search(&registry.client, "tide").await;
    let took = start.elapsed();
    assert_eq!(slugs(&answer), slugs(&at_once));
    let next = answer["next_step"].as_str().unwrap();
    assert!(
        next.starts_with("Words only: the embedding service did not answer in time. "),
        "{next}"
    );
    // The endpoint takes ten seconds.
    assert!(took < Duration::from_secs(2), "{took:?}");
    assert!(took >= skill_embeddings::QUERY_BUDGET, "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn search_works_with_a_wrong_key_and_status_says_so() {
    let registry = Registry::new().await;
    registry.publish(&[("harbour", "Reads tide tables")]).await;
    let wrong = registry.other("m", "wrong").await;
    let answer = search(&wrong, "tide").await;
    assert_eq!(slugs(&answer), ["harbour"]);
    let next = answer["next_step"].as_str().unwrap();
    assert!(
        next.starts_with("Words only: the embedding service failed. "),
        "{next}"
    );
    let status = |key: &'static str| registry.command(&["search", "status", "--tenant", "acme"], "m", key);
    let answer = status("wrong");
    assert_eq!(answer.code, 0, "{answer:?}");
    assert!(
        answer.out.contains("1 of 1 skills have a vector of the model m"),
        "{answer:?}"
    );
    assert!(answer.out.contains("rejected the key (status 401)"), "{answer:?}");
    let answer = status(KEY);
    assert!(
        answer.out.contains("The provider of embeddings answers."),
        "{answer:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn failing_endpoint_never_delays_a_publication() {
    let registry = Registry::new().await;
    registry.endpoint.behave(Behaviour::Slow);
    let start = Instant::now();
    publish(&registry.client, "harbour", "Reads tide tables").await;
    // The endpoint takes ten seconds.
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    registry.endpoint.behave(Behaviour::Fail);
    publish(&registry.client, "ledger", "Writes an invoice").await;
    assert_eq!(
        slugs(&search(&registry.client, "tide tables").await)[0],
        "harbour"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn new_model_computes_its_vectors_and_deletes_the_others() {
    let registry = Registry::new().await;
    registry.publish(&[("harbour", "Reads tide tables")]).await;
    let next = registry.other("next-model", KEY).await;
    // The vectors of the other model are no answer. The search has them computed.
    let answer = search(&next, "sea level").await;
    assert_eq!(slugs(&answer), [""; 0], "{answer}");
    registry.wait_for_vectors(registry.tenant, "next-model", 1).await;
    registry.wait_for_vectors(registry.tenant, "m", 0).await;
    assert_eq!(slugs(&search(&next, "sea level").await), ["harbour"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn new_version_is_found_by_its_own_meaning_in_every_process() {
    let registry = Registry::new().await;
    registry
        .publish(&[
            ("notes", "Reads tide tables"),
            ("ledger", "Writes an invoice"),
            ("kitchen", "Plans a supper"),
        ])
        .await;
    let replica = registry.other("m", KEY).await;
    assert_eq!(slugs(&search(&replica, "sea level").await)[0], "notes");
    publish(&registry.client, "notes", "Prints a recipe").await;
    registry.wait_for_stored("notes", "2").await;
    for client in [&replica, &registry.client] {
        let answer = search(client, "what to cook").await;
        let mut best = slugs(&answer)[..2].to_vec();
        best.sort_unstable();
        assert_eq!(best, ["kitchen", "notes"], "{answer}");
        let answer = search(client, "money owed").await;
        assert_eq!(slugs(&answer)[0], "ledger", "{answer}");
    }
    // A withdrawn version takes its vector along, and the version before is embedded again.
    let yank = json!({"skill": "notes", "version": "2", "reason": "wrong"});
    registry.client.ok("yank_skill", yank).await;
    let answer = search(&replica, "what to cook").await;
    assert_eq!(slugs(&answer)[0], "kitchen", "{answer}");
    registry.wait_for_stored("notes", "1").await;
    assert_eq!(slugs(&search(&replica, "sea level").await)[0], "notes");
}

#[tokio::test(flavor = "multi_thread")]
async fn archived_skill_has_no_vector_and_is_not_found() {
    let registry = Registry::new().await;
    registry
        .publish(&[("harbour", "Reads tide tables"), ("ledger", "Writes an invoice")])
        .await;
    let replica = registry.other("m", KEY).await;
    assert_eq!(slugs(&search(&replica, "sea level").await)[0], "harbour");
    admin(&registry.db, &["skill", "archive", "harbour", "--tenant", "acme"]);
    assert_eq!(slugs(&search(&replica, "sea level").await), ["ledger"]);
    let embedded = registry.command(&["search", "embed", "--tenant", "acme"], "m", KEY);
    assert_eq!(embedded.code, 0, "{embedded:?}");
    assert_eq!(registry.vectors(registry.tenant, "m").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn command_embeds_all_skills_and_changed_texts_again() {
    let registry = Registry::new().await;
    for (name, description) in [("harbour", "Reads tide tables"), ("ledger", "Writes an invoice")] {
        registry.db.skill(registry.tenant, name, description, &[]).await;
    }
    let embed = || registry.command(&["search", "embed", "--tenant", "acme"], "m", KEY);
    let first = embed();
    assert_eq!(first.code, 0, "{first:?}");
    assert_eq!(
        first.out.trim(),
        "2 skills were embedded; 2 of 2 have a vector of the model m."
    );
    assert_eq!(registry.endpoint.texts().len(), 2);
    assert!(embed().out.starts_with("0 skills were embedded;"));
    assert_eq!(registry.endpoint.texts(), [""; 0]);
    registry
        .db
        .superuser()
        .await
        .execute(
            "UPDATE skill_embeddings SET input_hash = sha256('of an older program') WHERE version_id IN
             (SELECT latest_version_id FROM skills WHERE slug = 'harbour')",
            &[],
        )
        .await
        .unwrap();
    assert!(embed().out.starts_with("1 skills were embedded; 2 of 2"));
    assert_eq!(slugs(&search(&registry.client, "sea level").await)[0], "harbour");
}

#[tokio::test(flavor = "multi_thread")]
async fn prefixes_precede_queries_and_texts_of_skills() {
    let registry = Registry::new().await;
    registry
        .db
        .skill(registry.tenant, "harbour", "Reads tide tables", &[])
        .await;
    let with_prefixes = |command: &str| {
        let arguments = [
            "search",
            command,
            "--tenant",
            "acme",
            "--embeddings-query-prefix",
            "query: ",
            "--embeddings-document-prefix",
            "passage: ",
        ];
        registry.command(&arguments, "m", KEY)
    };
    let embedded = with_prefixes("embed");
    assert!(
        embedded.out.starts_with("1 skills were embedded; 1 of 1"),
        "{embedded:?}"
    );
    assert_eq!(
        registry.endpoint.texts(),
        ["passage: harbour\nReads tide tables\nharbour"]
    );
    assert_eq!(with_prefixes("status").code, 0);
    assert_eq!(registry.endpoint.texts(), ["query: release notes"]);
    // Vectors of texts without prefix are not compared with those.
    let plain = registry.command(&["search", "embed", "--tenant", "acme"], "m", KEY);
    assert!(
        plain.out.starts_with("1 skills were embedded; 1 of 1"),
        "{plain:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn purged_skill_and_erased_tenant_leave_no_vector() {
    let registry = Registry::new().await;
    registry
        .publish(&[("harbour", "Reads tide tables"), ("ledger", "Writes an invoice")])
        .await;
    let purge = [
        "skill",
        "purge",
        "harbour",
        "--confirm",
        "harbour",
        "--reason",
        "asked",
        "--tenant",
        "acme",
    ];
    admin(&registry.db, &purge);
    assert_eq!(registry.vectors(registry.tenant, "m").await, 1);
    assert_eq!(slugs(&search(&registry.client, "sea level").await), ["ledger"]);
    admin(&registry.db, &["tenant", "erase", "acme", "--confirm", "acme"]);
    assert_eq!(registry.vectors(registry.tenant, "m").await, 0);
}
