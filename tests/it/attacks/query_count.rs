//! A request for another tenant's resource sends the database the same statements in the same number of round trips as one for a
//! missing resource. They are counted on the connection between server and database, because measured times prove nothing.

use serde_json::json;
use skillkeep::ids::TenantId;
use skillkeep::isolation_probe::{Fixtures, InMemoryClient, ProbeClient as _, attacks};
use skillkeep::server::ProtocolProfile;
use skillkeep::tenancy::{ApiKey, authenticate};

use super::recording_proxy::{RecordingProxy, normalize};
use super::servers::RouteClient;
use super::subscriptions::Subscriber;
use crate::harness::TestDb;

#[tokio::test(flavor = "multi_thread")]
async fn existing_and_missing_identifiers_cause_the_same_statements() {
    let db = TestDb::new().await;
    let fixtures = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let proxy = RecordingProxy::new(&db);
    let service = proxy.service(&db, 1);
    let mut attacker = InMemoryClient::connect_current(&service, fixtures.attacker.key.clone());
    let mut control = InMemoryClient::connect_current(&service, fixtures.control.key.clone());
    let (attacks, _) = attacks(&fixtures);
    let methods = ProtocolProfile::Current.methods();
    // A subscription starts a background task, which sends statements of its own.
    let can_be_counted = |method: &&str| *method != "subscriptions/listen" && methods.contains(method);
    let attacks: Vec<_> = attacks
        .iter()
        .filter(|attack| can_be_counted(&attack.method))
        .collect();
    // The first search of a tenant reads its index, and the first report has days summarised in the background.
    for (client, tenant) in [
        (&mut attacker, &fixtures.attacker),
        (&mut control, &fixtures.control),
    ] {
        let search = json!({"name": "search_skills", "arguments": {"query": tenant.slug}});
        client.request("tools/call", search).await.unwrap();
        let report = json!({"name": "usage_report", "arguments": {}});
        client.request("tools/call", report).await.unwrap();
    }
    proxy.sent.settle().await;
    let (mut compared, mut with_statements) = (0, 0);
    for attack in attacks.iter().step_by(2) {
        proxy.sent.take();
        attacker
            .request(attack.method, attack.attacker_params.clone())
            .await
            .unwrap();
        let existing = normalize(proxy.sent.take(), fixtures.attacker.tenant);
        control
            .request(attack.method, attack.control_params.clone())
            .await
            .unwrap();
        let missing = normalize(proxy.sent.take(), fixtures.control.tenant);
        assert_eq!(existing, missing, "{}, {}", attack.target, attack.description);
        compared += 1;
        with_statements += usize::from(existing.len() > 2);
    }
    assert!(compared > 2_000, "{compared}");
    assert!(with_statements > compared / 2, "{with_statements} of {compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn invalid_key_causes_the_same_statements_for_missing_tenants() {
    let db = TestDb::new().await;
    let fixtures = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let proxy = RecordingProxy::new(&db);
    let server = proxy.server(&db, 1);
    let try_one = async |tenant: TenantId| {
        let key = ApiKey::generate(tenant, &mut rand::rng());
        proxy.sent.take();
        assert!(authenticate(&server, &key).await.is_err());
        normalize(proxy.sent.take(), tenant)
    };
    // The first attempt opens the connection.
    try_one(TenantId::new()).await;
    for _ in 0..3 {
        let exists = try_one(fixtures.victim.tenant).await;
        let missing = try_one(TenantId::new()).await;
        assert_eq!(exists, missing);
        assert!(
            exists.iter().any(|words| words.contains("api_keys/")),
            "{exists:?}"
        );
    }
}

/// A change wakes only its own tenant's subscribers.
#[tokio::test(flavor = "multi_thread")]
async fn subscriber_does_not_poll_when_another_tenant_publishes() {
    let db = TestDb::new().await;
    let fixtures = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let proxy = RecordingProxy::new(&db);
    let service = proxy.service(&db, 4);
    let client = RouteClient::InMemory(InMemoryClient::connect_current(
        &service,
        fixtures.attacker.key.clone(),
    ));
    let mut attacker = Subscriber::new(&db, &fixtures.attacker, "only-mine", client).await;
    let client = RouteClient::InMemory(InMemoryClient::connect_current(
        &service,
        fixtures.victim.key.clone(),
    ));
    let mut victim = Subscriber::new(&db, &fixtures.victim, "only-victim", client).await;
    for _ in 0..3 {
        victim.publish_until_notified().await;
    }
    attacker.publish_until_notified().await;
    let tenant = fixtures.attacker.tenant.to_string();
    let sent = proxy.sent.take();
    let polls = sent
        .iter()
        .filter(|message| message.contains(&tenant) && message.contains("app.current_tenant_id"))
        .count();
    // One when it subscribes, and one for each change of its own.
    assert!(polls >= 2, "{sent:?}");
    assert!(
        polls <= 1 + attacker.published,
        "{polls} polls for {} changes",
        attacker.published
    );
}
