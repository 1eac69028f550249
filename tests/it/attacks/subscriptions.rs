//! Whoever listens for changes hears of his own tenant's, and not a word of another's.

use std::time::Duration;

use serde_json::{Value, json};
use skillkeep::isolation_probe::{LISTEN, ProbeClient as _, TestTenant};
use skillkeep::server::ProtocolProfile;

use super::servers::{Place, Speaker, Way};
use crate::harness::TestDb;

/// Longer than anything here may take.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a change is waited for before it is made again: the watch may not have begun at the first.
const AGAIN: Duration = Duration::from_secs(5);

fn uri(skill: &str) -> String {
    format!("skill://{skill}/1/{skill}/SKILL.md")
}

/// One who subscribed to something of his own, of another's, and of a name that both have.
pub(super) struct Ear<'a> {
    db: &'a TestDb,
    party: &'a TestTenant,
    own: &'static str,
    speaker: Speaker,
    pub(super) published: usize,
    heard: Vec<Value>,
}

impl<'a> Ear<'a> {
    /// Subscribes, and changes the party's own skill until that is told.
    pub(super) async fn open(
        db: &'a TestDb,
        party: &'a TestTenant,
        own: &'static str,
        mut speaker: Speaker,
    ) -> Self {
        let uris = [uri("only-mine"), uri("only-other_tenant"), uri("shared")];
        if speaker.protocol_profile() == ProtocolProfile::Current {
            let filter = json!({"resourcesListChanged": true, "promptsListChanged": true, "resourceSubscriptions": uris});
            let listen = json!({"notifications": filter});
            let begun = speaker.ask(LISTEN, listen).await.unwrap();
            assert!(begun.get("method").is_some(), "{begun}");
        } else {
            for uri in uris {
                let subscribe = json!({"uri": uri});
                let done = speaker.ask("resources/subscribe", subscribe).await.unwrap();
                assert!(done.get("result").is_some(), "{done}");
            }
        }
        let mut ear = Self {
            db,
            party,
            own,
            speaker,
            published: 0,
            heard: Vec::new(),
        };
        ear.publish_until_heard().await;
        ear
    }

    pub(super) async fn publish(&mut self, skill: &str) {
        self.published += 1;
        let description = format!("Change {} of {}.", self.published, self.own);
        let tenant = self.party.tenant;
        self.db.skill(tenant, skill, &description, &[]).await;
    }

    /// Changes the own skill until that is told.
    pub(super) async fn publish_until_heard(&mut self) {
        for _ in 0..PATIENCE.as_secs() / AGAIN.as_secs() {
            self.publish(self.own).await;
            let own = uri(self.own);
            if tokio::time::timeout(AGAIN, self.hear_until(&own)).await.is_ok() {
                return;
            }
        }
        panic!("nothing is told of {}", self.own);
    }

    async fn hear_until(&mut self, uri: &str) {
        loop {
            let message = self.speaker.hear().await;
            let is_it = message["params"]["uri"] == uri;
            self.heard.push(message);
            if is_it {
                return;
            }
        }
    }

    fn count(&self, method: &str) -> usize {
        let told = self.heard.iter();
        told.filter(|message| message["method"] == method).count()
    }
}

/// The victim publishes while the attacker listens; then he publishes himself, so that what was on its way to him has come.
pub(super) async fn listen(place: &Place, way: Way) {
    let world = &place.world;
    let speaker = place.connect(way, &world.attacker.key).await;
    let mut attacker = Ear::open(&place.db, &world.attacker, "only-mine", speaker).await;
    let speaker = place.connect(way, &world.victim.key).await;
    let mut victim = Ear::open(&place.db, &world.victim, "only-other_tenant", speaker).await;
    victim.publish("shared").await;
    victim.publish_until_heard().await;
    attacker.publish_until_heard().await;
    for message in &attacker.heard {
        let told = &message["params"]["uri"];
        assert!(
            told.is_null() || *told == uri("only-mine"),
            "{}: the attacker hears of what is not his: {message}",
            way.name
        );
    }
    for method in [
        "notifications/resources/list_changed",
        "notifications/prompts/list_changed",
    ] {
        let told = attacker.count(method);
        assert!(
            (1..=attacker.published).contains(&told),
            "{}: {told} times {method} for {} changes of his own",
            way.name,
            attacker.published
        );
    }
}
