//! A subscriber is notified of its own tenant's changes only.

use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::isolation_probe::{LISTEN, ProbeClient as _, TestTenant};
use skillkeep::server::ProtocolProfile;

use super::servers::{Route, RouteClient, TestServer};
use crate::harness::TestDb;

/// Longer than anything here may take.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Time to wait for a notification before the skill is published again: the first change may precede the subscription.
const RETRY_AFTER: Duration = Duration::from_secs(5);

fn uri(skill: &str) -> String {
    format!("skill://{skill}/1/{skill}/SKILL.md")
}

/// A client that has subscribed to its own skill, to the other tenant's, and to one whose name both have.
pub(super) struct Subscriber<'a> {
    db: &'a TestDb,
    tenant: &'a TestTenant,
    own_skill: &'static str,
    client: RouteClient,
    pub(super) published: usize,
    received: Vec<Value>,
}

impl<'a> Subscriber<'a> {
    /// Subscribes, and waits until the first change of the own skill is notified.
    pub(super) async fn new(
        db: &'a TestDb,
        tenant: &'a TestTenant,
        own_skill: &'static str,
        mut client: RouteClient,
    ) -> Self {
        let uris = [uri("only-mine"), uri("only-victim"), uri("shared")];
        if client.protocol_profile() == ProtocolProfile::Current {
            let filter = json!({"resourcesListChanged": true, "promptsListChanged": true, "resourceSubscriptions": uris});
            let listen = json!({"notifications": filter});
            let acknowledged = client.request(LISTEN, listen).await.unwrap();
            assert!(acknowledged.get("method").is_some(), "{acknowledged}");
        } else {
            for uri in uris {
                let params = json!({"uri": uri});
                let response = client.request("resources/subscribe", params).await.unwrap();
                assert!(response.get("result").is_some(), "{response}");
            }
        }
        let mut subscriber = Self {
            db,
            tenant,
            own_skill,
            client,
            published: 0,
            received: Vec::new(),
        };
        subscriber.publish_until_notified().await;
        subscriber
    }

    pub(super) async fn publish(&mut self, skill: &str) {
        self.published += 1;
        let description = format!("Change {} of {}.", self.published, self.own_skill);
        let tenant = self.tenant.tenant;
        self.db.skill(tenant, skill, &description, &[]).await;
    }

    /// Publishes the own skill until a notification about it arrives.
    pub(super) async fn publish_until_notified(&mut self) {
        for _ in 0..TIMEOUT.as_secs() / RETRY_AFTER.as_secs() {
            self.publish(self.own_skill).await;
            let own = uri(self.own_skill);
            if tokio::time::timeout(RETRY_AFTER, self.receive_until(&own))
                .await
                .is_ok()
            {
                return;
            }
        }
        panic!("no notification about {} arrives", self.own_skill);
    }

    async fn receive_until(&mut self, uri: &str) {
        loop {
            let message = self.client.next_notification().await;
            let is_found = message["params"]["uri"] == uri;
            self.received.push(message);
            if is_found {
                return;
            }
        }
    }

    fn count(&self, method: &str) -> usize {
        let received = self.received.iter();
        received.filter(|message| message["method"] == method).count()
    }
}

/// The victim publishes while the attacker is subscribed. Then the attacker publishes: when that is notified, every earlier
/// notification has arrived too.
pub(super) async fn assert_isolated(server: &TestServer, route: Route) {
    let fixtures = &server.fixtures;
    let client = server.connect(route, &fixtures.attacker.key).await;
    let mut attacker = Subscriber::new(&server.db, &fixtures.attacker, "only-mine", client).await;
    let client = server.connect(route, &fixtures.victim.key).await;
    let mut victim = Subscriber::new(&server.db, &fixtures.victim, "only-victim", client).await;
    victim.publish("shared").await;
    victim.publish_until_notified().await;
    attacker.publish_until_notified().await;
    for message in &attacker.received {
        let about = &message["params"]["uri"];
        assert!(
            about.is_null() || *about == uri("only-mine"),
            "{}: the attacker is notified of another tenant's change: {message}",
            route.name
        );
    }
    for method in [
        "notifications/resources/list_changed",
        "notifications/prompts/list_changed",
    ] {
        let count = attacker.count(method);
        assert!(
            (1..=attacker.published).contains(&count),
            "{}: {count} times {method} for {} changes of the attacker",
            route.name,
            attacker.published
        );
    }
}
