//! What a call costs the database tells nothing either: for another's thing the same statements are sent, in the same flights, as for
//! what does not exist. Counted on the wire between the server and its database, since clocks prove nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use serde_json::json;
use skillkeep::db::{DatabaseUrl, ServerDb};
use skillkeep::ids::TenantId;
use skillkeep::isolation_probe::{Fixtures, InMemoryClient, ProbeClient as _, attacks};
use skillkeep::server::{CallService, Limits, ProtocolProfile};
use skillkeep::tenancy::{ApiKey, authenticate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::servers::Speaker;
use super::subscriptions::Ear;
use crate::harness::{Cluster, TestDb};

/// What the server said to its database: statements by their first line, and the ends of flights.
#[derive(Clone, Default)]
struct EchoedSecrets(Arc<Mutex<Vec<String>>>);

impl EchoedSecrets {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn say(&self, words: String) {
        self.0.lock().unwrap().push(words);
    }
}

/// A way to the database on which one listens.
struct Wire {
    folder: tempfile::TempDir,
    said: EchoedSecrets,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Wire {
    fn new(db: &TestDb) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Cluster::get().config("skillkeep_app", &db.name);
        let tokio_postgres::config::Host::Unix(behind) = &config.get_hosts()[0] else {
            panic!("the cluster of the tests has a socket");
        };
        let behind = behind.join(".s.PGSQL.5432");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let said = EchoedSecrets::default();
        let task = tokio::spawn(pass_all(listener, behind, said.clone()));
        Self { folder, said, task }
    }

    /// A service behind it with so many connections.
    fn service(&self, db: &TestDb, connections: usize) -> Arc<CallService> {
        let server = ServerDb::new(&url(self.folder.path(), &db.name), connections).unwrap();
        Arc::new(CallService::new(server, Limits::default()))
    }
}

fn url(folder: &Path, name: &str) -> DatabaseUrl {
    let mut config = tokio_postgres::Config::new();
    config
        .host_path(folder)
        .port(5432)
        .user("skillkeep_app")
        .dbname(name);
    DatabaseUrl::from_config(config)
}

async fn pass_all(listener: UnixListener, behind: PathBuf, said: EchoedSecrets) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let far = UnixStream::connect(&behind).await.unwrap();
        let said = said.clone();
        tokio::spawn(async move {
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = far.into_split();
            let back = tokio::io::copy(&mut far_read, &mut near_write);
            let there = async {
                let mut heard = Heard::default();
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = near_read.read(&mut buffer).await {
                    // Before it goes on, so that it is known when the answer comes.
                    heard.listen(&buffer[..count], &said);
                    if far_write.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                _ = back => {}
                () = there => {}
            }
        });
    }
}

/// The messages of one connection (PostgreSQL's documentation, "Message Formats").
#[derive(Default)]
struct Heard {
    bytes: Vec<u8>,
    has_started: bool,
    /// Between a statement's preparation, which happens once for a connection, and the end of its flight.
    is_preparing: bool,
    statements: HashMap<String, String>,
}

impl Heard {
    fn listen(&mut self, bytes: &[u8], said: &EchoedSecrets) {
        self.bytes.extend_from_slice(bytes);
        loop {
            // The first message alone has no letter.
            let letter = usize::from(self.has_started);
            let Some(length) = self.bytes.get(letter..letter + 4) else {
                return;
            };
            let end = letter + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.bytes.len() < end {
                return;
            }
            let message: Vec<u8> = self.bytes.drain(..end).collect();
            if self.has_started {
                self.message(message[0], &message[5..], said);
            }
            self.has_started = true;
        }
    }

    fn message(&mut self, letter: u8, body: &[u8], said: &EchoedSecrets) {
        let mut texts = body
            .split(|byte| *byte == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        match letter {
            b'Q' => said.say(text()),
            b'P' => {
                self.is_preparing = true;
                let name = text();
                let statement = text().lines().next().unwrap_or_default().to_owned();
                self.statements.insert(name, statement);
            }
            b'B' => {
                self.is_preparing = false;
                let _portal = text();
                let statement = self.statements.get(&text()).cloned();
                said.say(statement.unwrap_or_default());
            }
            b'S' if self.is_preparing => self.is_preparing = false,
            b'S' => said.say("end of a flight".to_owned()),
            _ => {}
        }
    }
}

/// The same with one name for each tenant, in an order of their own: what is asked at once may leave in any.
fn plain(said: Vec<String>, tenant: TenantId) -> Vec<String> {
    let tenant = tenant.to_string();
    let mut said: Vec<String> = said
        .into_iter()
        .map(|words| words.replace(&tenant, "TENANT"))
        .collect();
    said.sort();
    said
}

#[tokio::test(flavor = "multi_thread")]
async fn for_anothers_thing_and_for_nothing_the_same_statements_are_sent() {
    let db = TestDb::new().await;
    let world = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let wire = Wire::new(&db);
    let service = wire.service(&db, 1);
    let mut attacker = InMemoryClient::connect_newest(&service, world.attacker.key.clone());
    let mut control = InMemoryClient::connect_newest(&service, world.control.key.clone());
    let (attacks, _) = attacks(&world);
    let methods = ProtocolProfile::Current.methods();
    // A subscription begins to watch in the background.
    let can_be_counted = |method: &&str| *method != "subscriptions/listen" && methods.contains(method);
    let attacks: Vec<_> = attacks
        .iter()
        .filter(|attack| can_be_counted(&attack.method))
        .collect();
    // Their indexes are made by the first search.
    for (pipe, party) in [(&mut attacker, &world.attacker), (&mut control, &world.control)] {
        let search = json!({"name": "search_skills", "arguments": {"query": party.slug}});
        pipe.ask("tools/call", search).await.unwrap();
    }
    let (mut compared, mut with_statements) = (0, 0);
    for attack in attacks.iter().step_by(2) {
        wire.said.take();
        attacker.ask(attack.method, attack.foreign.clone()).await.unwrap();
        let foreign = plain(wire.said.take(), world.attacker.tenant);
        control.ask(attack.method, attack.absent.clone()).await.unwrap();
        let absent = plain(wire.said.take(), world.control.tenant);
        assert_eq!(foreign, absent, "{}, {}", attack.target, attack.what);
        compared += 1;
        with_statements += usize::from(foreign.len() > 2);
    }
    assert!(compared > 2_000, "{compared}");
    assert!(with_statements > compared / 2, "{with_statements} of {compared}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_key_costs_the_same_whether_its_tenant_exists_or_not() {
    let db = TestDb::new().await;
    let world = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let wire = Wire::new(&db);
    let server = ServerDb::new(&url(wire.folder.path(), &db.name), 1).unwrap();
    let try_one = async |tenant: TenantId| {
        let key = ApiKey::generate(tenant, &mut rand::rng());
        wire.said.take();
        assert!(authenticate(&server, &key).await.is_err());
        plain(wire.said.take(), tenant)
    };
    // The first finds no connection that it could use.
    try_one(TenantId::new()).await;
    for _ in 0..3 {
        let exists = try_one(world.victim.tenant).await;
        let nothing = try_one(TenantId::new()).await;
        assert_eq!(exists, nothing);
        assert!(exists.iter().any(|words| words.contains("api_keys/")), "{exists:?}");
    }
}

/// A change wakes its own tenant's subscribers: nobody reads the database because a neighbour published.
#[tokio::test(flavor = "multi_thread")]
async fn a_subscriber_does_not_look_when_another_tenant_publishes() {
    let db = TestDb::new().await;
    let world = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let wire = Wire::new(&db);
    let service = wire.service(&db, 4);
    let speaker = Speaker::InMemoryClient(InMemoryClient::connect_newest(
        &service,
        world.attacker.key.clone(),
    ));
    let mut attacker = Ear::open(&db, &world.attacker, "only-mine", speaker).await;
    let speaker = Speaker::InMemoryClient(InMemoryClient::connect_newest(&service, world.victim.key.clone()));
    let mut victim = Ear::open(&db, &world.victim, "only-other_tenant", speaker).await;
    for _ in 0..3 {
        victim.publish_until_heard().await;
    }
    attacker.publish_until_heard().await;
    let tenant = world.attacker.tenant.to_string();
    let said = wire.said.take();
    let looked = said
        .iter()
        .filter(|words| words.contains(&tenant) && words.contains("app.current_tenant_id"))
        .count();
    // Once when it began, and once for each change of its own.
    assert!(looked >= 2, "{said:?}");
    assert!(
        looked <= 1 + attacker.published,
        "{looked} looks for {} changes",
        attacker.published
    );
}
