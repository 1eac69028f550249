//! HTTP+SSE, as the agents of revision 2024-11-05 speak it, and as those try it who are not welcome.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::server::ServiceLimits;
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::http::HttpOptions;
use skillkeep::transport::sse::SseOptions;
use tokio_util::sync::CancellationToken;

use crate::command::admin;
use crate::harness::TestDb;
use crate::helpers::{events_after, test_hook};
use crate::http_server::{Agent, PATIENCE, Served, assert_served, call};

fn with_sse(sse: SseOptions) -> HttpOptions {
    HttpOptions {
        sse: Some(sse),
        ..HttpOptions::default()
    }
}

/// What was recorded of a tenant's calls: tool, outcome, transport, revision and client.
async fn recorded(db: &TestDb) -> Vec<[String; 5]> {
    let rows = db
        .superuser()
        .await
        .query(
            "SELECT tool, outcome, transport, protocol_version, client_name FROM usage_events ORDER BY id",
            &[],
        )
        .await
        .unwrap();
    rows.iter()
        .map(|row| std::array::from_fn(|column| row.get(column)))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_of_the_first_revision_works_and_its_calls_are_recorded_as_its_own() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let service = db.service();
    let served = Served::start(service.clone(), HttpOptions::default()).await;
    let mut agent = Agent::greet(served.at, &key).await;
    let tools = agent
        .ask(&json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"}))
        .await;
    assert!(tools["result"]["tools"].as_array().unwrap().len() > 5, "{tools}");
    let who = agent.ask(&call(2, "whoami", &json!({}))).await;
    let said = who["result"]["content"][0]["text"].as_str().unwrap();
    assert!(said.contains("acme"), "{who}");
    agent
        .ask(&call(3, "search_skills", &json!({"query": "pdf"})))
        .await;
    let wrong = agent.ask(&call(4, "search_skills", &json!({"query": 7}))).await;
    assert!(
        wrong["error"].is_object() || wrong["result"]["isError"] == true,
        "{wrong}"
    );
    service.drain().await;
    let events = recorded(&db).await;
    let tools: Vec<&str> = events.iter().map(|event| event[0].as_str()).collect();
    assert_eq!(tools, ["whoami", "search_skills", "search_skills"]);
    for event in &events {
        assert_eq!(event[2..], ["sse", "2024-11-05", "old-agent"], "{events:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_does_not_exist_for_another_key() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (key, sibling) = (db.full_key(acme).await, db.full_key(acme).await);
    let stranger = db.full_key(db.tenant("globex").await).await;
    let served = Served::start(db.service(), HttpOptions::default()).await;
    let mut agent = Agent::greet(served.at, &key).await;
    let message = call(5, "whoami", &json!({}));
    let mut refusals = Vec::new();
    for other in [&sibling, &stranger] {
        let response = agent.message(other).json(&message).send().await.unwrap();
        refusals.push((response.status(), response.text().await.unwrap()));
    }
    let endpoint = std::mem::replace(&mut agent.endpoint, "/messages?sessionId=0".to_owned());
    for nowhere in ["/messages?sessionId=0", "/messages"] {
        nowhere.clone_into(&mut agent.endpoint);
        let response = agent.message(&key).json(&message).send().await.unwrap();
        refusals.push((response.status(), response.text().await.unwrap()));
    }
    for refusal in &refusals {
        assert_eq!(
            refusal, &refusals[0],
            "a foreign session differs from none at all"
        );
        assert_eq!(refusal.0, StatusCode::NOT_FOUND);
    }
    agent.endpoint = endpoint;
    let without = reqwest::Client::new()
        .post(format!("http://{}{}", served.at, agent.endpoint))
        .json(&message);
    assert_eq!(without.send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
    let who = agent.ask(&message).await;
    assert!(who.to_string().contains("acme"), "{who}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenant_has_so_many_streams_and_no_more_and_one_that_ends_makes_room() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let (key, sibling) = (db.full_key(acme).await, db.full_key(acme).await);
    let other = db.full_key(db.tenant("globex").await).await;
    let options = with_sse(SseOptions {
        sessions_per_tenant: 2,
        ..SseOptions::default()
    });
    let served = Served::start(db.service(), options).await;
    let client = reqwest::Client::new();
    let first = Agent::greet(served.at, &key).await;
    let _second = Agent::greet(served.at, &sibling).await;
    let refusal = Agent::open(&client, served.at, &key)
        .await
        .err()
        .expect("one too many");
    assert_eq!(refusal.status(), StatusCode::TOO_MANY_REQUESTS);
    assert!(
        refusal.headers()["retry-after"]
            .to_str()
            .unwrap()
            .parse::<u32>()
            .unwrap()
            > 0
    );
    let words = refusal.text().await.unwrap();
    assert!(words.contains("2 event streams open"), "{words}");
    Agent::greet(served.at, &other).await;
    drop(first);
    let began = Instant::now();
    while Agent::open(&client, served.at, &key).await.is_err() {
        assert!(
            began.elapsed() < PATIENCE,
            "the place of a stream that ended is not free"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_whose_agent_leaves_is_stopped_and_recorded() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let begun = CancellationToken::new();
    let signal = begun.clone();
    let block = test_hook(move |name, _| {
        let (signal, is_slow) = (signal.clone(), name == "search_skills");
        async move {
            if is_slow {
                signal.cancel();
                futures::future::pending::<()>().await;
            }
        }
        .boxed()
    });
    let service = db.service_with_faults(ServiceLimits::default(), block);
    let served = Served::start(service.clone(), HttpOptions::default()).await;
    let agent = Agent::greet(served.at, &key).await;
    agent
        .say(&call(1, "search_skills", &json!({"query": "pdf"})))
        .await;
    begun.cancelled().await;
    drop(agent);
    let events = events_after(&db, &service, acme, 1).await;
    assert_eq!(events, [("search_skills".to_owned(), "client_gone".to_owned())]);
    assert_served(served.at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_agent_is_let_go_and_one_that_speaks_is_kept() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let options = with_sse(SseOptions {
        idle: Duration::from_secs(2),
        check_every: Duration::from_millis(200),
        ..SseOptions::default()
    });
    let served = Served::start(db.service(), options).await;
    let mut silent = Agent::greet(served.at, &key).await;
    let mut speaking = Agent::greet(served.at, &key).await;
    let began = Instant::now();
    let talk = async {
        for id in 1.. {
            let answer = speaking
                .ask(&json!({"jsonrpc": "2.0", "id": id, "method": "ping"}))
                .await;
            assert!(answer["result"].is_object(), "{answer}");
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    tokio::select! {
        () = silent.ended() => {}
        () = talk => {}
    }
    assert!(began.elapsed() >= Duration::from_secs(1), "let go too early");
    let gone = silent
        .message(&key)
        .json(&call(1, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(gone.status(), StatusCode::NOT_FOUND);
    let answer = speaking
        .ask(&json!({"jsonrpc": "2.0", "id": 0, "method": "ping"}))
        .await;
    assert!(answer["result"].is_object(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_does_nothing_more_and_its_stream_ends() {
    let db = TestDb::new().await;
    let acme = db.tenant("acme").await;
    let key = db.full_key(acme).await;
    let options = with_sse(SseOptions {
        check_every: Duration::from_millis(200),
        ..SseOptions::default()
    });
    let served = Served::start(db.service(), options).await;
    let mut agent = Agent::greet(served.at, &key).await;
    let list = admin(&db, &["key", "list", "--tenant", "acme", "--json"]).json();
    let id = list[0]["id"]
        .as_str()
        .unwrap_or_else(|| panic!("{list}"))
        .to_owned();
    admin(&db, &["key", "revoke", &id, "--tenant", "acme"]);
    let refused = agent
        .message(&key)
        .json(&call(1, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    if refused.status() == StatusCode::ACCEPTED {
        let answer = agent.receive(1).await;
        assert_eq!(answer["error"]["code"], -31_001, "{answer}");
    } else {
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
    }
    agent.ended().await;
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_its_streams_after_the_last_answer() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let (begun, go) = (CancellationToken::new(), CancellationToken::new());
    let (signal, wait) = (begun.clone(), go.clone());
    let block = test_hook(move |_, _| {
        let (signal, wait) = (signal.clone(), wait.clone());
        async move {
            signal.cancel();
            wait.cancelled().await;
        }
        .boxed()
    });
    let mut served = Served::start(
        db.service_with_faults(ServiceLimits::default(), block),
        HttpOptions::default(),
    )
    .await;
    let mut idle = Agent::greet(served.at, &key).await;
    let mut busy = Agent::greet(served.at, &key).await;
    busy.say(&call(1, "whoami", &json!({}))).await;
    begun.cancelled().await;
    served.stop.cancel();
    tokio::time::sleep(Duration::from_millis(100)).await;
    go.cancel();
    assert!(busy.receive(1).await["result"].is_object());
    let began = Instant::now();
    busy.ended().await;
    idle.ended().await;
    tokio::time::timeout(PATIENCE, &mut served.task)
        .await
        .unwrap()
        .unwrap();
    assert!(
        began.elapsed() < Duration::from_secs(10),
        "idle streams held up the end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_switched_off_is_not_there() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let options = HttpOptions {
        sse: None,
        ..HttpOptions::default()
    };
    let served = Served::start(db.service(), options).await;
    let refusal = Agent::open(&reqwest::Client::new(), served.at, &key)
        .await
        .err()
        .unwrap();
    assert_eq!(refusal.status(), StatusCode::NOT_FOUND);
    let posted = reqwest::Client::new()
        .post(format!("http://{}/messages?sessionId=1", served.at))
        .bearer_auth(key.reveal())
        .json(&call(1, "whoami", &json!({})))
        .send();
    assert_eq!(posted.await.unwrap().status(), StatusCode::NOT_FOUND);
    assert_served(served.at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_cannot_be_flooded() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let go = CancellationToken::new();
    let wait = go.clone();
    let block = test_hook(move |_, _| wait.clone().cancelled_owned().boxed());
    let served = Served::start(
        db.service_with_faults(ServiceLimits::default(), block),
        HttpOptions::default(),
    )
    .await;
    let mut agent = Agent::greet(served.at, &key).await;
    let mut refused = 0;
    for id in 1..=40 {
        let message: Value = call(id, "whoami", &json!({}));
        let response = agent.message(&key).json(&message).send().await.unwrap();
        if response.status() == StatusCode::TOO_MANY_REQUESTS {
            assert!(response.headers().contains_key("retry-after"));
            refused += 1;
        } else {
            assert_eq!(response.status(), StatusCode::ACCEPTED);
        }
    }
    assert_eq!(refused, 8, "32 requests may wait for their answers");
    go.cancel();
    let mut answered = BTreeSet::new();
    while answered.len() < 32 {
        answered.insert(agent.answer().await["id"].as_i64().unwrap());
    }
    assert_eq!(answered, (1..=32).collect());
}

/// The key that names no tenant that exists opens nothing.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_listens_without_a_key() {
    let db = TestDb::new().await;
    db.tenant("acme").await;
    let served = Served::start(db.service(), HttpOptions::default()).await;
    let invented = ApiKey::generate(skillkeep::ids::TenantId::new(), &mut rand::rng());
    let refusal = Agent::open(&reqwest::Client::new(), served.at, &invented)
        .await
        .err()
        .unwrap();
    assert_eq!(refusal.status(), StatusCode::UNAUTHORIZED);
    let bare = reqwest::get(format!("http://{}/sse", served.at)).await.unwrap();
    assert_eq!(bare.status(), StatusCode::UNAUTHORIZED);
}
