//! One tenant attacks another through every tool and method, over every transport.
//!
//! What is asked comes from the product's own proof, which makes it from the tools' schemas and the server's list of methods.

mod headers;
mod role;
pub(crate) mod speakers;

use skillkeep::ids::TenantId;
use skillkeep::proof::{Asking, Pipe, Proof, World, attacks, run_every};
use skillkeep::server::{self, Transport};
use skillkeep::tools::ToolName;

use crate::harness::TestDb;
use crate::process::{program, program_as};
use crate::served::serve;
use crate::support::sums;
use speakers::{Http, Lines, NEW, OLD, Sse};

/// Tools and methods that are not attacked. To stay empty.
const NOT_COVERED: [&str; 0] = [];

/// Over a pipe everything is asked. Over the real transports, which are slower, every fifth question, unless
/// `SKILLKEEP_EVERY_ATTACK` is set, as `.ci/run` does.
fn step(how: &str) -> usize {
    if how == "pipe" || std::env::var_os("SKILLKEEP_EVERY_ATTACK").is_some() {
        1
    } else {
        5
    }
}

fn assert_clean(proof: &Proof) {
    let shown: Vec<&String> = proof.findings.iter().take(10).collect();
    assert!(
        proof.findings.is_empty(),
        "{} findings, among them {shown:#?}",
        proof.findings.len()
    );
    assert!(proof.attacks > 1_000, "{}", proof.attacks);
}

/// Attacks, and looks from outside at what it did to the victim.
async fn attack(how: &str, db: &TestDb, world: &World, attacker: &mut impl Asking, twin: &mut impl Asking) {
    let before = sums(db, world.victim.tenant).await;
    let proof = run_every(step(how), world, attacker, twin).await.unwrap();
    assert_clean(&proof);
    assert_eq!(sums(db, world.victim.tenant).await, before);
    let rows = async |tenant: TenantId| -> Vec<(String, i64)> {
        let sums = sums(db, tenant).await;
        sums.into_iter().map(|(table, (rows, _))| (table, rows)).collect()
    };
    assert_eq!(
        rows(world.attacker.tenant).await,
        rows(world.twin.tenant).await,
        "asking for what is another's leaves other traces"
    );
    eprintln!(
        "{how}: {} attacks on {} tools and methods",
        proof.attacks,
        proof.targets.len()
    );
}

async fn planted(db: &TestDb) -> World {
    World::plant(&db.admin, &db.door()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_and_method_is_attacked() {
    let db = TestDb::new().await;
    let world = planted(&db).await;
    let (attacks, uncovered) = attacks(&world);
    assert_eq!(uncovered, NOT_COVERED);
    let tools = ToolName::ALL.iter().map(|tool| tool.as_str());
    for target in tools.chain(server::methods()) {
        let count = attacks.iter().filter(|attack| attack.target == target).count();
        assert!(count >= 40, "{target}: {count}");
    }
}

/// The transports as the code lists them: one that is added has to be added to [`over_each_transport`].
#[test]
fn no_transport_is_forgotten() {
    for transport in Transport::ALL {
        match transport {
            Transport::Stdio | Transport::Http | Transport::Sse => {}
        }
    }
    assert_eq!(Transport::ALL.len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_a_pipe() {
    let db = TestDb::new().await;
    let door = db.door();
    let world = World::plant(&db.admin, &door).await.unwrap();
    let mut attacker = Pipe::connect(&door, world.attacker.key.clone()).await.unwrap();
    let mut twin = Pipe::connect(&door, world.twin.key.clone()).await.unwrap();
    attack("pipe", &db, &world, &mut attacker, &mut twin).await;
}

async fn over_http(era: &'static str) {
    let db = TestDb::new().await;
    let door = db.door();
    let world = World::plant(&db.admin, &door).await.unwrap();
    let at = serve(&door).await;
    let mut attacker = Http::new(at, &world.attacker.key, era);
    let mut twin = Http::new(at, &world.twin.key, era);
    attack(&format!("http {era}"), &db, &world, &mut attacker, &mut twin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_of_the_older_revisions() {
    over_http(OLD).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_of_the_newest_revision() {
    over_http(NEW).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_and_sse() {
    let db = TestDb::new().await;
    let door = db.door();
    let world = World::plant(&db.admin, &door).await.unwrap();
    let at = serve(&door).await;
    let mut attacker = Sse::greet(at, &world.attacker.key).await;
    let mut twin = Sse::greet(at, &world.twin.key).await;
    attack("sse", &db, &world, &mut attacker, &mut twin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_stdio_and_its_log_at_its_loudest_tells_nothing() {
    let db = TestDb::new().await;
    let world = planted(&db).await;
    let logs = tempfile::tempdir().unwrap();
    let log = logs.path().join("log");
    let start = async |key: &str| {
        let mut command = program_as("skillkeep_app", &db, &["stdio"]);
        command
            .env("SKILLKEEP_API_KEY", key)
            .env("SKILLKEEP_LOG", "trace");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(&log)
            .unwrap();
        Lines::start(command, log, OLD).await
    };
    let mut attacker = start(world.attacker.key.reveal()).await;
    let mut twin = start(world.twin.key.reveal()).await;
    attack("stdio", &db, &world, &mut attacker, &mut twin).await;
    attacker.end().await;
    twin.end().await;
    let log = std::fs::read_to_string(&log).unwrap();
    assert!(log.lines().count() > 1_000, "the log is on");
    assert!(!log.contains("skeep_"), "a key is in the log");
    for secret in world
        .secrets
        .iter()
        .chain([&"Fills in the usual forms".to_owned()])
    {
        // What an attacker calls a tool by is a name like any other, and is logged as the tool's name.
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(secret.as_str()) && !line.contains(&format!("tool=\"{secret}\"")))
            .take(3)
            .collect();
        assert!(lines.is_empty(), "{secret} is in the log: {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn over_the_bridge() {
    let db = TestDb::new().await;
    let door = db.door();
    let world = World::plant(&db.admin, &door).await.unwrap();
    let at = serve(&door).await;
    let start = async |key: &str| {
        let mut command = program(&["bridge", &format!("http://{at}")]);
        command.env("SKILLKEEP_API_KEY", key);
        Lines::start(command, tempfile::tempfile().unwrap(), NEW).await
    };
    let mut attacker = start(world.attacker.key.reveal()).await;
    let mut twin = start(world.twin.key.reveal()).await;
    attack("bridge", &db, &world, &mut attacker, &mut twin).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rehearsal_on_a_live_database_proves_it_and_leaves_nothing_behind() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let tenants = "SELECT count(*) FROM tenants";
    let before = (sums(&db, tenant).await, db.value::<i64>(tenants).await);
    let proof = skillkeep::proof::rehearse(&db.ways.admin).await.unwrap();
    assert_clean(&proof);
    let after = (sums(&db, tenant).await, db.value::<i64>(tenants).await);
    assert_eq!(after, before);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
}

/// Holes that no look at the rows would show, because the queries stay in their tenant: they show in what callers are told.
#[tokio::test(flavor = "multi_thread")]
async fn the_rehearsal_finds_holes_that_only_show_in_answers() {
    for (hole, target) in [
        (
            "ALTER TABLE usage_reports ADD CONSTRAINT once UNIQUE (idempotency_key)",
            "record_usage",
        ),
        (
            "CREATE FUNCTION tell() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN
                 IF EXISTS (SELECT FROM skills s WHERE s.slug = NEW.comment AND s.tenant_id <> NEW.tenant_id) THEN
                     RAISE EXCEPTION 'there is one';
                 END IF;
                 RETURN NEW;
             END $$;
             CREATE TRIGGER tell BEFORE INSERT ON usage_reports FOR EACH ROW EXECUTE FUNCTION tell();
             DO $$ BEGIN EXECUTE format('ALTER FUNCTION tell() OWNER TO %I', current_user); END $$",
            "record_usage",
        ),
    ] {
        let db = TestDb::new().await;
        db.superuser().await.batch_execute(hole).await.unwrap();
        let proof = skillkeep::proof::rehearse(&db.ways.admin).await.unwrap();
        assert!(
            proof.findings.iter().any(|finding| finding.starts_with(target)),
            "{hole}: {:?}",
            proof.findings
        );
    }
}
