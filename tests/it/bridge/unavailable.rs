//! A registry that stops and starts again, a revoked key, and change notifications.

use std::time::Duration;

use serde_json::json;
use skillkeep::tenancy::Scope;

use super::{
    BridgeClient, LEGACY_VERSION, Registry, TIMEOUT, current, initialize, legacy, set_up, usage_events,
    whoami,
};
use crate::command::admin;

#[tokio::test(flavor = "multi_thread")]
async fn calls_fail_while_the_registry_is_down_and_work_again_afterwards() {
    let (db, key) = set_up().await;
    let service = db.service();
    let registry = Registry::start(&service).await;
    let address = registry.address;
    let mut client = BridgeClient::start(address, &key);
    client.ask(&initialize(1)).await;
    client.ask(&legacy(2, "tools/call", &whoami())).await;
    registry.stop().await;
    // The bridge must see the end of its idle connection before it sends the next request.
    tokio::time::sleep(Duration::from_secs(1)).await;

    client.send(&legacy(3, "tools/call", &whoami())).await;
    client.send(&legacy(4, "tools/list", &json!({}))).await;
    for answer in client.answers(3, 2).await {
        let message = answer["error"]["message"].as_str().unwrap();
        assert_eq!(answer["error"]["code"], -31010, "{answer}");
        assert!(
            message.contains(&format!("registry at {address} is unreachable")),
            "{message}"
        );
        assert!(message.contains("Nothing was changed"), "{message}");
    }

    let registry = Registry::start_at(address, &service).await;
    let answer = client.ask(&legacy(5, "tools/call", &whoami())).await;
    assert_eq!(
        answer["result"]["structuredContent"]["tenant"], "acme",
        "{answer}"
    );
    client.end_well(&key).await;
    registry.stop().await;
    assert_eq!(usage_events(&db).await.matches("whoami ok").count(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn call_made_before_the_registry_starts_is_retried() {
    let (db, key) = set_up().await;
    let service = db.service();
    let registry = Registry::start(&service).await;
    let address = registry.address;
    registry.stop().await;
    let mut client = BridgeClient::start(address, &key);
    client.send(&initialize(1)).await;
    // The first attempt has failed.
    let failed = client.log.wait_for(|log| log.contains("trying again"));
    tokio::time::timeout(TIMEOUT, failed).await.unwrap().unwrap();
    let _registry = Registry::start_at(address, &service).await;
    let answer = client.next().await;
    assert_eq!(answer["result"]["protocolVersion"], LEGACY_VERSION, "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn revoked_key_is_rejected_with_the_message_of_the_registry() {
    let (db, key) = set_up().await;
    let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
    let acme = skillkeep::ids::TenantId::from_uuid(acme);
    let (_, revoked) = db.key(acme, "eve@example.com", &[Scope::SkillsRead]).await;
    let registry = Registry::start(&db.service()).await;
    let listed = admin(&db, &["key", "list", "--tenant", "acme", "--json"]).json();
    let eve = listed
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one.to_string().contains("eve@"));
    let id = eve.unwrap()["id"].as_str().unwrap();
    admin(&db, &["key", "revoke", id, "--tenant", "acme"]);
    let mut client = BridgeClient::start(registry.address, &revoked);
    let answer = client.ask(&initialize(1)).await;
    assert_eq!(answer["error"]["code"], -31001, "{answer}");
    assert!(
        answer["error"]["message"].to_string().contains("API key"),
        "{answer}"
    );
    client.end_well(&revoked).await;
    drop(key);
}

#[tokio::test(flavor = "multi_thread")]
async fn subscription_notifies_of_changes_while_calls_are_answered() {
    let (db, key) = set_up().await;
    let acme: uuid::Uuid = db.value("SELECT id FROM tenants WHERE slug = 'acme'").await;
    let acme = skillkeep::ids::TenantId::from_uuid(acme);
    let registry = Registry::start(&db.service()).await;
    let mut client = BridgeClient::start(registry.address, &key);
    let filter = json!({"notifications": {"resourcesListChanged": true}});
    client.send(&current(1, "subscriptions/listen", filter)).await;
    let first = client.next().await;
    assert_eq!(
        first["method"], "notifications/subscriptions/acknowledged",
        "{first}"
    );
    // The registry starts to watch some time after the acknowledgement, so publish until a notification comes.
    let publish = async {
        for count in 0.. {
            db.skill(acme, &format!("skill-{count}"), "A skill.", &[]).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    };
    let change = tokio::select! {
        change = client.next() => change,
        () = publish => unreachable!("it never ends"),
    };
    assert_eq!(
        change["method"], "notifications/resources/list_changed",
        "{change}"
    );
    client.send(&current(2, "tools/call", whoami())).await;
    while client.next().await["id"] != 2 {}
    client.end_well(&key).await;
}
