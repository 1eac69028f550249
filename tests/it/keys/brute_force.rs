//! Whoever comes with a key that nobody knows: what he may try, that he cannot leave before he is counted, and that he neither
//! stands before a tenant's calls nor learns anything of it.

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
use crate::http_server::{Agent, PATIENCE, Served, assert_served, call, post, serve};

fn guess(tenant: TenantId) -> ApiKey {
    ApiKey::generate(tenant, &mut rand::rng())
}

async fn status(at: SocketAddr, key: &ApiKey) -> StatusCode {
    let asked = post(at, key, &call(1, "whoami", &json!({}))).timeout(PATIENCE);
    asked.send().await.unwrap().status()
}

/// How often keys were refused, as far as the log knows by now.
async fn refused_keys(db: &TestDb, service: &skillkeep::server::CallService) -> u64 {
    service.access().denials().flush(true).await;
    let denials = denials(db).await;
    let counts = denials
        .iter()
        .map(|(_, _, _, details)| details["count"].as_u64().unwrap());
    counts.sum()
}

/// The processes of the database that work for the server.
async fn backends(db: &TestDb) -> Vec<i32> {
    db.value(
        "SELECT coalesce(array_agg(pid ORDER BY pid), '{}') FROM pg_stat_activity
         WHERE datname = current_database() AND usename = 'skillkeep_app'",
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_hangs_up_before_his_key_is_judged_is_counted_all_the_same_and_breaks_no_connection() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let at = serve(&service).await;
    assert_served(at, &key).await;
    let before = backends(&db).await;
    let mut outside = db.superuser().await;
    let lock = outside.transaction().await.unwrap();
    lock.batch_execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
        .await
        .unwrap();
    let mut hasty = Vec::new();
    for _ in 0..20 {
        let mut stream = TcpStream::connect(at).await.unwrap();
        let head = format!(
            "GET /mcp HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {}\r\n\r\n",
            guess(tenant).reveal()
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        hasty.push(stream);
    }
    let waiting = "SELECT count(*) FROM pg_stat_activity
                   WHERE datname = current_database() AND usename = 'skillkeep_app' AND wait_event_type = 'Lock'";
    while db.value::<i64>(waiting).await == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(hasty);
    // Time for the server to see that they are gone.
    tokio::time::sleep(Duration::from_millis(300)).await;
    lock.commit().await.unwrap();
    let began = Instant::now();
    loop {
        let counted = refused_keys(&db, &service).await;
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
async fn keys_that_are_tried_at_once_are_no_more_than_those_tried_one_after_the_other() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let at = serve(&db.service()).await;
    assert_served(at, &key).await;
    let tried = (0..200).map(|number| {
        let invented = if number % 2 == 0 { TenantId::new() } else { tenant };
        tokio::spawn(async move { status(at, &guess(invented)).await })
    });
    let mut judged = 0;
    for tried in futures::future::join_all(tried).await {
        match tried.unwrap() {
            StatusCode::UNAUTHORIZED => judged += 1,
            // The second on a machine that is so slow that they waited for too long.
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE => {}
            other => panic!("{other}"),
        }
    }
    assert!((1..=20).contains(&judged), "{judged} were judged");
    assert_served(at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_event_streams_keys_are_tried_no_more_often() {
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
async fn a_good_key_that_comes_from_an_address_that_has_to_wait_gets_in_when_the_time_is_over() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let mut limits = ServiceLimits::default();
    limits.access.failed_key_window = Duration::from_secs(5);
    let service = Arc::new(CallService::new(db.server.clone(), limits));
    let served = Served::start(service, HttpOptions::default()).await;
    // A slow machine may need more than one window for as many.
    let mut statuses = Vec::new();
    while statuses.last() != Some(&StatusCode::TOO_MANY_REQUESTS) {
        assert!(statuses.len() < 500, "{statuses:?}");
        statuses.push(status(served.at, &guess(tenant)).await);
    }
    let began = Instant::now();
    let asked = post(served.at, &key, &call(1, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    assert_eq!(asked.status(), StatusCode::TOO_MANY_REQUESTS);
    let wait = &asked.headers()["retry-after"];
    let wait: u64 = wait.to_str().unwrap().parse().unwrap();
    assert!((1..=6).contains(&wait), "{wait}");
    let words: Value = asked.json().await.unwrap();
    assert!(words.to_string().contains("came from your address"), "{words}");
    tokio::time::sleep_until((began + Duration::from_secs(wait)).into()).await;
    assert_served(served.at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn while_a_tenant_is_busy_a_stranger_who_names_it_is_answered_as_for_any_other() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let newcomer = db.key(tenant, "bob@example.com", &Scope::ALL).await.1;
    let (release, stuck) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let (released, sticking) = (Arc::clone(&release), Arc::clone(&stuck));
    let block = test_hook(move |_, _| {
        let (released, sticking) = (Arc::clone(&released), Arc::clone(&sticking));
        async move {
            sticking.add_permits(1);
            let _ = released.acquire().await;
        }
        .boxed()
    });
    let at = serve(&db.service_with_faults(ServiceLimits::default(), block)).await;
    // Six of the eight places, and some who wait for one.
    let busy: Vec<_> = (0..20)
        .map(|_| {
            let key = key.clone();
            tokio::spawn(async move { status(at, &key).await })
        })
        .collect();
    stuck.acquire_many(6).await.unwrap().forget();
    let mut told = Vec::new();
    for named in [tenant, TenantId::new()] {
        let answer = post(at, &guess(named), &call(1, "whoami", &json!({})))
            .send()
            .await
            .unwrap();
        told.push((answer.status(), answer.text().await.unwrap()));
    }
    assert_eq!(told[0], told[1]);
    assert_eq!(told[0].0, StatusCode::UNAUTHORIZED);
    // A good key is known as such before its call waits with the tenant's others.
    let looked = reqwest::Client::new()
        .get(format!("http://{at}/mcp"))
        .bearer_auth(newcomer.reveal())
        .send()
        .await
        .unwrap();
    assert_eq!(looked.status(), StatusCode::METHOD_NOT_ALLOWED);
    release.add_permits(1_000);
    for busy in busy {
        busy.await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_a_trusted_proxy_who_tries_keys_holds_up_nobody_else_and_is_named_in_the_log() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let service = db.service();
    let options = HttpOptions {
        trusted_proxies: vec!["127.0.0.0/8".parse().unwrap()],
        ..HttpOptions::default()
    };
    let served = Served::start(Arc::clone(&service), options).await;
    let forwarded = async |key: &ApiKey, chain: &str| {
        let asked = post(served.at, key, &call(1, "whoami", &json!({}))).header("x-forwarded-for", chain);
        asked.send().await.unwrap().status()
    };
    for number in 0..20 {
        // What he writes himself does not help him.
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
    // Who is known by no address but the proxy's is counted as the proxy.
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

#[tokio::test(flavor = "multi_thread")]
async fn keys_that_are_not_even_tried_are_in_the_log_of_the_tenant_that_they_name() {
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
    let mut told = std::collections::BTreeMap::<String, u64>::new();
    for (action, _, source, details) in denials(&db).await {
        assert_eq!(
            (action.as_str(), source.as_str()),
            ("denied.key", "http 127.0.0.1")
        );
        *told
            .entry(details["reason"].as_str().unwrap().to_owned())
            .or_default() += details["count"].as_u64().unwrap();
    }
    let expected = [("not_tried".to_owned(), 7), ("unknown_key".to_owned(), 20)];
    assert_eq!(told.into_iter().collect::<Vec<_>>(), expected);
}

/// What the server's role has rolled back on this database. Every check of a key before the protocol layer is such a one, and
/// these requests do nothing else.
async fn rolled_back(db: &TestDb) -> i64 {
    // A process of the database tells what it counted when it ends.
    db.server.close();
    while !backends(db).await.is_empty() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    db.value("SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()")
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_many_bring_at_once_is_checked_once() {
    let db = TestDb::new().await;
    let key = db.full_key(db.tenant("acme").await).await;
    let at = serve(&db.service()).await;
    let mut outside = db.superuser().await;
    let client = reqwest::Client::new();
    for _ in 0..2 {
        // Long enough for all of them to come; the second time, the key is known and must be looked for again.
        let lock = outside.transaction().await.unwrap();
        lock.batch_execute("LOCK TABLE api_keys IN ACCESS EXCLUSIVE MODE")
            .await
            .unwrap();
        let looks: Vec<_> = (0..64)
            .map(|_| {
                let request = client
                    .request(Method::GET, format!("http://{at}/mcp"))
                    .bearer_auth(key.reveal());
                tokio::spawn(async move { request.send().await.unwrap().status() })
            })
            .collect();
        tokio::time::sleep(Duration::from_millis(500)).await;
        lock.commit().await.unwrap();
        for look in looks {
            assert_eq!(look.await.unwrap(), StatusCode::METHOD_NOT_ALLOWED);
        }
        tokio::time::sleep(Duration::from_millis(3_100)).await;
    }
    assert_eq!(rolled_back(&db).await, 2);
}
