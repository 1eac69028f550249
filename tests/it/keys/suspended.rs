//! Suspending a tenant or a user over HTTP: no further call runs and open streams end.

use std::time::{Duration, Instant};

use reqwest::StatusCode;
use serde_json::{Value, json};
use skillkeep::db::TenantTx;
use skillkeep::ids::TenantId;
use skillkeep::tenancy::tenants::{self, Status};
use skillkeep::tenancy::{Scope, users};
use skillkeep::transport::http::HttpOptions;
use skillkeep::transport::sse::SseOptions;

use crate::harness::TestDb;
use crate::http_server::{Agent, PATIENCE, TestHttpServer, assert_call_succeeds, call, post};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Suspended {
    Tenant,
    User,
}

async fn set(db: &TestDb, tenant: TenantId, suspended: Suspended, status: Status) {
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let changed = match suspended {
        Suspended::Tenant => tenants::set_status(&tx, status).await.unwrap(),
        Suspended::User => {
            let ada = "ada@example.com".parse().unwrap();
            users::set_status(&tx, &ada, status).await.unwrap()
        }
    };
    assert!(changed);
    skillkeep::search::commit(tx).await.unwrap();
}

async fn assert_no_call_while_suspended(suspended: Suspended) {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let key = db.full_key(tenant).await;
    let colleague = db.key(tenant, "bob@example.com", &Scope::ALL).await.1;
    let options = HttpOptions {
        sse: Some(SseOptions {
            check_every: Duration::from_millis(200),
            ..SseOptions::default()
        }),
        ..HttpOptions::default()
    };
    let served = TestHttpServer::start(db.service(), options).await;
    let mut agent = Agent::greet(served.at, &key).await;
    assert!(agent.ask(&call(1, "whoami", &json!({}))).await["result"].is_object());
    assert_call_succeeds(served.at, &key).await;
    assert_call_succeeds(served.at, &colleague).await;
    set(&db, tenant, suspended, Status::Suspended).await;
    // The authentication cache may accept the key for 3 more seconds; the call's own authentication does not.
    let began = Instant::now();
    loop {
        let response = post(served.at, &key, &call(2, "whoami", &json!({})))
            .send()
            .await
            .unwrap();
        let status = response.status();
        let answer: Value = response.json().await.unwrap();
        assert_eq!(answer["error"]["code"], -31_001, "{answer}");
        if status == StatusCode::UNAUTHORIZED {
            break;
        }
        assert!(began.elapsed() < PATIENCE, "{status}: {answer}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let response = agent
        .message(&key)
        .json(&call(3, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    assert!(
        [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND].contains(&response.status()),
        "{response:?}"
    );
    agent.ended().await;
    assert_eq!(db.events(tenant).await.len(), 3, "no further call");
    if suspended == Suspended::User {
        assert_call_succeeds(served.at, &colleague).await;
    }
    set(&db, tenant, suspended, Status::Active).await;
    assert_call_succeeds(served.at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_tenant_makes_no_call_and_its_streams_end() {
    assert_no_call_while_suspended(Suspended::Tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_user_makes_no_call_and_their_streams_end() {
    assert_no_call_while_suspended(Suspended::User).await;
}
