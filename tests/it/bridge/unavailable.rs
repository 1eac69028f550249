//! A registry that stops and comes back, a key that no longer holds, and news of changes.

use std::time::Duration;

use serde_json::json;
use skillkeep::tenancy::Scope;

use super::{Laptop, McpHandler, OLD, PATIENCE, hello, new_era, old, set_up, told, whoami};
use crate::command::admin;

#[tokio::test(flavor = "multi_thread")]
async fn while_the_registry_is_away_callers_are_told_so_and_afterwards_it_works_again() {
    let (db, key) = set_up().await;
    let service = db.service();
    let registry = McpHandler::start(&service).await;
    let address = registry.address;
    let mut laptop = Laptop::start(address, &key);
    laptop.ask(&hello(1)).await;
    laptop.ask(&old(2, "tools/call", &whoami())).await;
    registry.stop().await;

    laptop.send(&old(3, "tools/call", &whoami())).await;
    laptop.send(&old(4, "tools/list", &json!({}))).await;
    for answer in laptop.answers(3, 2).await {
        let words = answer["error"]["message"].as_str().unwrap();
        assert_eq!(answer["error"]["code"], -31010, "{answer}");
        assert!(
            words.contains(&format!("registry at {address} is away")),
            "{words}"
        );
        assert!(words.contains("Nothing was changed"), "{words}");
    }

    let registry = McpHandler::start_at(address, &service).await;
    let answer = laptop.ask(&old(5, "tools/call", &whoami())).await;
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], "acme",
        "{answer}"
    );
    laptop.end_well(&key).await;
    registry.stop().await;
    assert_eq!(told(&db).await.matches("whoami ok").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_made_while_the_registry_starts_is_carried_out_once_it_has() {
    let (db, key) = set_up().await;
    let service = db.service();
    let registry = McpHandler::start(&service).await;
    let address = registry.address;
    registry.stop().await;
    let mut laptop = Laptop::start(address, &key);
    laptop.send(&hello(1)).await;
    // The log tells that the first try has failed.
    let failed = laptop.log.wait_for(|log| log.contains("trying again"));
    tokio::time::timeout(PATIENCE, failed).await.unwrap().unwrap();
    let _registry = McpHandler::start_at(address, &service).await;
    let answer = laptop.next().await;
    assert_eq!(answer["result"]["protocolVersion"], OLD, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_no_longer_holds_is_refused_in_the_registrys_words() {
    let (db, key) = set_up().await;
    let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
    let acme = skillkeep::ids::TenantId::from_uuid(acme);
    let (_, revoked) = db.key(acme, "eve@example.com", &[Scope::SkillsRead]).await;
    let registry = McpHandler::start(&db.service()).await;
    let listed = admin(&db, &["key", "list", "--tenant", "acme", "--json"]).json();
    let eve = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one.to_string().contains("eve@"));
    let id = eve.unwrap()["id"].as_str().unwrap();
    admin(&db, &["key", "revoke", id, "--tenant", "acme"]);
    let mut laptop = Laptop::start(registry.address, &revoked);
    let answer = laptop.ask(&hello(1)).await;
    assert_eq!(answer["error"]["code"], -31001, "{answer}");
    assert!(
        answer["error"]["message"].to_string().contains("API key"),
        "{answer}"
    );
    laptop.end_well(&revoked).await;
    drop(key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_tells_of_changes_while_calls_are_answered() {
    let (db, key) = set_up().await;
    let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
    let acme = skillkeep::ids::TenantId::from_uuid(acme);
    let registry = McpHandler::start(&db.service()).await;
    let mut laptop = Laptop::start(registry.address, &key);
    let filter = json!({"notifications": {"resourcesListChanged": true}});
    laptop.send(&new_era(1, "subscriptions/listen", filter)).await;
    let first = laptop.next().await;
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    // The watch begins some time after the acknowledgement, so there are changes until one is told.
    let publish = async {
        for count in 0.. {
            db.skill(acme, &format!("skill-{count}"), "A skill.", &[]).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let change = tokio::select! {
        change = laptop.next() => change,
        () = publish => unreachable!("it never ends"),
    };
    assert_eq!(
        change["method"], "notifications/resources/list_changed",
        "{change}"
    );
    laptop.send(&new_era(2, "tools/call", whoami())).await;
    while laptop.next().await["id"] != 2 {}
    laptop.end_well(&key).await;
}
