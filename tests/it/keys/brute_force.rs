//! Callers with unknown API keys: the throttle of failed authentications cannot be evaded, does not delay other callers and
//! reveals nothing about tenants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tenancy::{ApiKey, Scope};
use skillkeep::transport::http::HttpOptions;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

use super::leaked_keys::denials;
use crate::harness::TestDb;
use crate::helpers::test_hook;
use crate::http_server::{Agent, PATIENCE, TestHttpServer, assert_call_succeeds, call, post, serve};

fn guess(tenant: TenantId) -> ApiKey {
    ApiKey::generate(tenant, &mut rand::rng())
}

async fn status(at: SocketAddr, key: &ApiKey) -> StatusCode {
    let request = post(at, key, &call(1, "whoami", &json!({}))).timeout(PATIENCE);
    request.send().await.unwrap().status()
}

/// Number of rejected keys in the audit log, after writing the denials that are counted in memory.
async fn rejected_keys(db: &TestDb, service: &skillkeep::server::CallService) -> u64 {
    service.access().denials().flush(true).await;
    let denials = denials(db).await;
    let counts = denials
        .iter()
        .map(|(_, _, _, details)| details["count"].as_u64().unwrap());
    counts.sum()
}

/// Process ids of the server's database connections.
async fn backends(db: &TestDb) -> Vec<i32> {
    db.value(
        "SELECT coalesce(array_agg(pid ORDER BY pid), '{}') FROM pg_stat_activity
         WHERE datname = current_database() AND usename = 'skillkeep_app'",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn disconnecting_early_is_counted_and_breaks_no_connection() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let at = serve(&service).await;
    assert_call_succeeds(at, &key).await;
    let before = backends(&db).await;
    let mut superuser = db.superuser().await;
    let lock = superuser.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let request = format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            guess(tenant).reveal()
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        clients.push(stream);
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND usename = 'skillkeep_app' AND wait_event_type = 'Lock'";
    while db.value::<i64>(waiting).await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(clients);
    // Time for the server to notice the disconnects.
    tokio::time::sleep(Duration::from_millis(300)).await;
    lock.commit().await.unwrap();
    let began = Instant::now();
    loop {
        let counted = rejected_keys(&db, &service).await;
        if counted == 20 {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{counted} of 20 were counted");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(status(at, &guess(tenant)).await, StatusCode::TOO_MANY_REQUESTS);
    let after = backends(&db).await;
    assert!(
        before.iter().all(|pid| after.contains(pid)),
        "{before:?} {after:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_guesses_are_limited_like_sequential_ones() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let at = serve(&db.service()).await;
    assert_call_succeeds(at, &key).await;
    let guesses = (0..200).map(|number| {
        let named = if number % 2 == 0 { TenantId::new() } else { tenant };
        tokio::spawn(async move { status(at, &guess(named)).await })
    });
    let mut checked = 0;
    for status in futures::future::join_all(guesses).await {
        match status.unwrap() {
            StatusCode::UNAUTHORIZED => checked += 1,
            // 503 on a slow machine, where they waited for too long.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {}
            other => panic!("{other}"),
        }
    }
    assert!((1..=20).contains(&checked), "{checked} were checked");
    assert_call_succeeds(at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_over_event_streams_count_as_well() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let at = serve(&db.service()).await;
    let client = reqwest::Client::new();
    let mut refused = Vec::new();
    for _ in 0..21 {
        let refusal = Agent::open(&client, at, &guess(tenant)).await.err().unwrap();
        refused.push(refusal.status().as_u16());
    }
    assert_eq!(refused[..20], [401; 20]);
    assert_eq!(refused[20], 429);
    assert_eq!(status(at, &guess(tenant)).await, StatusCode::TOO_MANY_REQUESTS);
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_key_works_after_the_throttle_of_its_address_ends() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let mut limits = ServiceLimits::default();
    limits.access.failed_key_window = Duration::from_secs(5);
    let service = Arc::new(CallService::new(db.server.clone(), limits));
    let served = TestHttpServer::start(service, HttpOptions::default()).await;
    // A slow machine may need more than one window for as many.
    let mut statuses = Vec::new();
    while statuses.last() != Some(&StatusCode::TOO_MANY_REQUESTS) {
        assert!(statuses.len() < 500, "{statuses:?}");
        statuses.push(status(served.at, &guess(tenant)).await);
    }
    let began = Instant::now();
    let refused = post(served.at, &key, &call(1, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = &refused.headers()["retry-after"];
    let wait: u64 = wait.to_str().unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    let body: Value = refused.json().await.unwrap();
    assert!(body.to_string().contains("came from your address"), "{body}");
    tokio::time::sleep_until((began + Duration::from_secs(wait)).into()).await;
    assert_call_succeeds(served.at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_key_is_rejected_alike_for_busy_and_missing_tenants() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let new_key = db.key(tenant, "bob@example.com", &Scope::ALL).await.1;
    let (release, started) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (hook_release, hook_started) = (Arc::clone(&release), Arc::clone(&started));
    let block = test_hook(move |_, _| {
        let (release, started) = (Arc::clone(&hook_release), Arc::clone(&hook_started));
        async move {
            started.add_permits(1);
            let _ = release.acquire().await;
        }
        .boxed()
    });
    let at = serve(&db.service_with_faults(ServiceLimits::default(), block)).await;
    // The tenant uses 6 of the 8 connection permits, and more of its calls wait for one.
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let key = key.clone();
            tokio::spawn(async move { status(at, &key).await })
        })
        .collect();
    started.acquire_many(6).await.unwrap().forget();
    let mut answers = Vec::new();
    for named in [tenant, TenantId::new()] {
        let answer = post(at, &guess(named), &call(1, "whoami", &json!({})))
            .send()
            .await
            .unwrap();
        answers.push((answer.status(), answer.text().await.unwrap()));
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0, StatusCode::UNAUTHORIZED);
    // A valid key is authenticated before its call waits with the other calls of the tenant.
    let authenticated = reqwest::Client::new()
        .get(format!("http://{at}/mcp"))
        .bearer_auth(new_key.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(authenticated.status(), StatusCode::METHOD_NOT_ALLOWED);
    release.add_permits(1_000);
    for busy in busy {
        busy.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_behind_a_trusted_proxy_count_by_client_address() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let options = HttpOptions {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..HttpOptions::default()
    };
    let served = TestHttpServer::start(Arc::clone(&service), options).await;
    let forwarded = async |key: &ApiKey, chain: &str| {
        let request = post(served.at, key, &call(1, "whoami", &json!({}))).header("x-forwarded-for", chain);
        request.send().await.unwrap().status()
    };
    for number in 0..20 {
        // Addresses that the client wrote itself are ignored.
        let chain = format!("198.51.100.{number}, 203.0.113.9");
        assert_eq!(forwarded(&guess(tenant), &chain).await, StatusCode::UNAUTHORIZED);
    }
    for chain in ["203.0.113.9", "192.0.2.1, 203.0.113.9, 127.0.0.2"] {
        assert_eq!(
            forwarded(&guess(tenant), chain).await,
            StatusCode::TOO_MANY_REQUESTS
        );
    }
    assert_eq!(forwarded(&key, "203.0.113.10").await, StatusCode::OK);
    // Without a valid forwarded address the proxy's own address counts.
    assert_eq!(
        forwarded(&guess(tenant), "nonsense").await,
        StatusCode::UNAUTHORIZED
    );
    service.drain().await;
    let sources: std::collections::BTreeSet<String> = denials(&db)
        .await
        .into_iter()
        .map(|(_, _, source, _)| source)
        .collect();
    assert_eq!(
        sources.iter().collect::<Vec<_>>(),
        ["http 127.0.0.1", "http 203.0.113.9"]
    );
}

/// Regression: 508 addresses made 200 entries a minute in the log of a tenant whose id is known, such as the default one's.
#[tokio::test(flavor = "multi_thread")]
async fn forged_keys_from_many_addresses_do_not_fill_the_log() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let service = db.service();
    let options = HttpOptions {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..HttpOptions::default()
    };
    let served = TestHttpServer::start(Arc::clone(&service), options).await;
    for number in 0..200 {
        let address = format!("198.51.100.{number}");
        let request = post(served.at, &guess(tenant), &call(1, "whoami", &json!({})));
        let answer = request.header("x-forwarded-for", address).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    }
    service.drain().await;
    let denials = denials(&db).await;
    let counted: u64 = denials
        .iter()
        .map(|(_, _, _, details)| details["count"].as_u64().unwrap())
        .sum();
    assert_eq!(counted, 200);
    assert!(denials.len() <= 12, "{} entries", denials.len());
    assert_eq!(
        denials
            .iter()
            .filter(|(_, _, source, _)| source == "many")
            .count(),
        2
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn throttled_guess_is_logged_for_the_claimed_tenant() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let service = db.service();
    let at = serve(&service).await;
    for _ in 0..20 {
        assert_eq!(status(at, &guess(tenant)).await, StatusCode::UNAUTHORIZED);
    }
    for _ in 0..7 {
        for named in [tenant, TenantId::new()] {
            assert_eq!(status(at, &guess(named)).await, StatusCode::TOO_MANY_REQUESTS);
        }
    }
    service.drain().await;
    let mut counts = std::collections::BTreeMap::<String, u64>::new();
    for (action, _, source, details) in denials(&db).await {
        assert_eq!(
            (action.as_str(), source.as_str()),
            ("denied.key", "http 127.0.0.1")
        );
        *counts
            .entry(details["reason"].as_str().unwrap().to_owned())
            .or_default() += details["count"].as_u64().unwrap();
    }
    let expected = [("not_tried".to_owned(), 7), ("unknown_key".to_owned(), 20)];
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), expected);
}

/// Number of rolled back transactions in this database. Each authentication before the protocol layer is one, and the requests
/// of the test do nothing else.
async fn rolled_back(db: &TestDb) -> i64 {
    // PostgreSQL adds the counts of a connection when it ends.
    db.server.close();
    while !backends(db).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    db.value("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn concurrent_requests_with_one_key_are_authenticated_once() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let at = serve(&db.service()).await;
    let mut superuser = db.superuser().await;
    let client = reqwest::Client::new();
    for _ in 0..2 {
        // Holds the check until all requests have arrived. In the second round the cached result has expired.
        let lock = superuser.transaction().await.unwrap();
        lock.batch_execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        let requests: Vec<_> = (0..64)
            .map(|_| {
                let request = client
                    .request(Method::GET, format!("http://{at}/mcp"))
                    .bearer_auth(key.reveal());
                tokio::spawn(async move { request.send().await.unwrap().status() })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        lock.commit().await.unwrap();
        for request in requests {
            assert_eq!(request.await.unwrap(), StatusCode::METHOD_NOT_ALLOWED);
        }
        tokio::time::sleep(Duration::from_millis(3_100)).await;
    }
    assert_eq!(rolled_back(&db).await, 2);
}
