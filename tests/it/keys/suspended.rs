//! A tenant or a user that is suspended while it works over HTTP: no call runs any more, and what is open ends.

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
use crate::http_server::{Agent, PATIENCE, Served, assert_served, call, post};

#[derive(Debug, Clone, Copy, PartialEq)]
enum Who {
    Tenant,
    User,
}

async fn set(db: &TestDb, tenant: TenantId, who: Who, status: Status) {
    let tx = TenantTx::begin_as_admin(&db.admin, tenant).await.unwrap();
    let known = match who {
        Who::Tenant => tenants::set_status(&tx, status).await.unwrap(),
        Who::User => {
            let ada = "ada@example.com".parse().unwrap();
            users::set_status(&tx, &ada, status).await.unwrap()
        }
    };
    assert!(known);
    tx.commit().await.unwrap();
}

async fn nobody_suspended_makes_one_more_call(who: Who) {
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
    let served = Served::start(db.service(), options).await;
    let mut agent = Agent::greet(served.at, &key).await;
    assert!(agent.ask(&call(1, "whoami", &json!({}))).await["result"].is_object());
    assert_served(served.at, &key).await;
    assert_served(served.at, &colleague).await;
    set(&db, tenant, who, Status::Suspended).await;
    // The first look may still remember the key, for three seconds; the call itself does not.
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
    let said = agent
        .message(&key)
        .json(&call(3, "whoami", &json!({})))
        .send()
        .await
        .unwrap();
    assert!(
        [StatusCode::UNAUTHORIZED, StatusCode::NOT_FOUND].contains(&said.status()),
        "{said:?}"
    );
    agent.ended().await;
    assert_eq!(db.events(tenant).await.len(), 3, "not one call more");
    if who == Who::User {
        assert_served(served.at, &colleague).await;
    }
    set(&db, tenant, who, Status::Active).await;
    assert_served(served.at, &key).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_tenant_makes_not_one_more_call_over_http_and_its_streams_end() {
    nobody_suspended_makes_one_more_call(Who::Tenant).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_user_makes_not_one_more_call_over_http_and_his_streams_end() {
    nobody_suspended_makes_one_more_call(Who::User).await;
}
