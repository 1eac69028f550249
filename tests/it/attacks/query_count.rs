//! A request for another tenant's resource sends the database the same statements in the same number of round trips as one for a
//! missing resource. They are counted on the connection between server and database, because measured times prove nothing.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::json;
use skillkeep::db::{DatabaseUrl, ServerDb};
use skillkeep::ids::TenantId;
use skillkeep::isolation_probe::{Fixtures, InMemoryClient, ProbeClient as _, attacks};
use skillkeep::server::{CallService, ProtocolProfile, ServiceLimits};
use skillkeep::tenancy::{ApiKey, authenticate};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{UnixListener, UnixStream};

use super::servers::RouteClient;
use super::subscriptions::Subscriber;
use crate::harness::{Cluster, TestDb};

/// What the server sent to the database: the first line of each statement, and the end of each pipelined batch.
#[derive(Clone, Default)]
struct SentMessages(Arc<Mutex<Vec<String>>>);

impl SentMessages {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap())
    }

    fn push(&self, message: String) {
        self.0.lock().unwrap().push(message);
    }

    /// Waits until the server sends nothing more.
    async fn settle(&self) {
        loop {
            self.take();
            tokio::time::sleep(Duration::from_millis(500)).await;
            if self.take().is_empty() {
                return;
            }
        }
    }
}

/// Forwards connections to the database and records what the server sends.
struct RecordingProxy {
    folder: tempfile::TempDir,
    sent: SentMessages,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for RecordingProxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl RecordingProxy {
    fn new(db: &TestDb) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let config = Cluster::get().config("skillkeep_app", &db.name);
        let tokio_postgres::config::Host::Unix(socket_dir) = &config.get_hosts()[0] else {
            panic!("the cluster of the tests has a socket");
        };
        let target = socket_dir.join(".s.PGSQL.5432");
        let listener = UnixListener::bind(folder.path().join(".s.PGSQL.5432")).unwrap();
        let sent = SentMessages::default();
        let task = tokio::spawn(forward_all(listener, target, sent.clone()));
        Self { folder, sent, task }
    }

    /// A service that connects through the proxy.
    fn service(&self, db: &TestDb, connections: usize) -> Arc<CallService> {
        let server = ServerDb::new(&url(self.folder.path(), &db.name), connections).unwrap();
        Arc::new(CallService::new(server, ServiceLimits::default()))
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

async fn forward_all(listener: UnixListener, target: PathBuf, sent: SentMessages) {
    loop {
        let (near, _) = listener.accept().await.unwrap();
        let far = UnixStream::connect(&target).await.unwrap();
        let sent = sent.clone();
        tokio::spawn(async move {
            let (mut near_read, mut near_write) = near.into_split();
            let (mut far_read, mut far_write) = far.into_split();
            let to_server = tokio::io::copy(&mut far_read, &mut near_write);
            let to_database = async {
                let mut parser = MessageParser::default();
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(count @ 1..) = near_read.read(&mut buffer).await {
                    // Recorded before it is forwarded, so that the record is complete when the response arrives.
                    parser.parse(&buffer[..count], &sent);
                    if far_write.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
            };
            tokio::select! {
                _ = to_server => {}
                () = to_database => {}
            }
        });
    }
}

/// Parses what one connection sends (PostgreSQL's documentation, "Message Formats").
#[derive(Default)]
struct MessageParser {
    bytes: Vec<u8>,
    has_started: bool,
    /// Between a Parse message, which each connection sends once per statement, and the end of its batch. Not recorded.
    is_preparing: bool,
    statements: HashMap<String, String>,
}

impl MessageParser {
    fn parse(&mut self, bytes: &[u8], sent: &SentMessages) {
        self.bytes.extend_from_slice(bytes);
        loop {
            // The startup message has no type byte.
            let type_len = usize::from(self.has_started);
            let Some(length) = self.bytes.get(type_len..type_len + 4) else {
                return;
            };
            let end = type_len + u32::from_be_bytes(length.try_into().unwrap()) as usize;
            if self.bytes.len() < end {
                return;
            }
            let message: Vec<u8> = self.bytes.drain(..end).collect();
            if self.has_started {
                self.record(message[0], &message[5..], sent);
            }
            self.has_started = true;
        }
    }

    fn record(&mut self, message_type: u8, body: &[u8], sent: &SentMessages) {
        let mut texts = body
            .split(|byte| *byte == 0)
            .map(|text| String::from_utf8_lossy(text).into_owned());
        let mut text = || texts.next().unwrap_or_default();
        match message_type {
            b'Q' => sent.push(text()),
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
                sent.push(statement.unwrap_or_default());
            }
            b'S' if self.is_preparing => self.is_preparing = false,
            b'S' => sent.push("end of batch".to_owned()),
            _ => {}
        }
    }
}

/// Replaces the tenant's id, and sorts: concurrent requests can be sent in any order.
fn normalize(sent: Vec<String>, tenant: TenantId) -> Vec<String> {
    let tenant = tenant.to_string();
    let mut sent: Vec<String> = sent
        .into_iter()
        .map(|message| message.replace(&tenant, "TENANT"))
        .collect();
    sent.sort();
    sent
}

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
    let server = ServerDb::new(&url(proxy.folder.path(), &db.name), 1).unwrap();
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
