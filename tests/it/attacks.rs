//! One tenant attacks another through every tool and method, over every transport.
//!
//! What is asked comes from the product's own proof, which makes it from the tools' schemas and the server's list of methods.

pub(crate) mod clients;
mod headers;
mod method_inventory;
mod query_count;
mod role;
mod servers;
mod single_policy;
mod subscriptions;
mod table;

use futures::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::isolation_probe::{
    ClientError, EchoedSecrets, Extent, Fixtures, ProbeClient, ProbeReport, Run, attacks,
};
use skillkeep::server::{self, ProtocolProfile, TransportKind};
use skillkeep::tools::ToolName;

use crate::harness::TestDb;
use crate::helpers::table_checksums;
use servers::{Place, Way};

/// Tools and methods that are not attacked. To stay empty.
const NOT_COVERED: [&str; 0] = [];

/// Over a pipe everything is asked. Over the real transports, which are slower, every fifth question, unless
/// `SKILLKEEP_EVERY_ATTACK` is set, as `.ci/run` does.
fn extent(way: Way) -> Extent {
    if way.is_fast() || std::env::var_os("SKILLKEEP_EVERY_ATTACK").is_some() {
        Extent::EveryNth(1)
    } else {
        Extent::EveryNth(5)
    }
}

fn assert_clean(how: &str, protocol_profile: ProtocolProfile, proof: &ProbeReport) {
    let shown: Vec<&String> = proof.findings.iter().take(10).collect();
    assert!(
        proof.findings.is_empty(),
        "{how}: {} findings, among them {shown:#?}",
        proof.findings.len()
    );
    // One in five of those that there are; the newest revision has fewer methods.
    let least = match protocol_profile {
        ProtocolProfile::LegacyStateful | ProtocolProfile::LegacyStateless => 1_000,
        ProtocolProfile::Current => 900,
    };
    assert!(proof.attacks > least, "{how}: {}", proof.attacks);
}

/// Attacks, and looks from outside at what it did to the victim.
async fn attack(way: Way) -> (&'static str, ProbeReport) {
    let place = Place::new(way).await;
    let world = &place.world;
    let before = table_checksums(&place.db, world.victim.tenant).await;
    let mut attacker = place.connect(way, &world.attacker.key).await;
    let mut control = place.connect(way, &world.control.key).await;
    let mut run = Run {
        world,
        admin: &place.db.admin,
        extent: extent(way),
        said: EchoedSecrets::default(),
    };
    let proof = run.over(&mut attacker, &mut control).await.unwrap();
    assert_clean(way.name, attacker.protocol_profile(), &proof);
    let after = table_checksums(&place.db, world.victim.tenant).await;
    assert_eq!(after, before, "{}", way.name);
    let rows = async |tenant: TenantId| -> Vec<(String, i64)> {
        let table_checksums = table_checksums(&place.db, tenant).await;
        table_checksums
            .into_iter()
            .map(|(table, (rows, _))| (table, rows))
            .collect()
    };
    assert_eq!(
        rows(world.attacker.tenant).await,
        rows(world.control.tenant).await,
        "{}: asking for what is another's leaves other traces",
        way.name
    );
    attacker.end().await;
    control.end().await;
    if way.can_hear() {
        subscriptions::listen(&place, way).await;
    }
    if let Some(log) = place.said() {
        assert_log_tells_nothing(way.name, world, &log);
    }
    (way.name, proof)
}

/// No key, nothing of the victim's, and nothing that the attackers sent is in a log at its loudest.
fn assert_log_tells_nothing(how: &str, world: &Fixtures, log: &str) {
    assert!(log.lines().count() > 1_000, "{how}: the log is on");
    assert!(!log.contains("skeep_"), "{how}: a key is in the log");
    let handles = world.handles.iter();
    let sent = handles.flat_map(|handle| [handle.foreign.clone(), handle.absent.clone()]);
    let own = [
        "Fills in the usual forms",
        "tenant_id <> current_tenant_id()",
        "pg_sleep(10)",
        "looked for by",
    ];
    let texts = world.secrets.iter().cloned().chain(sent);
    for text in texts.chain(own.map(str::to_owned)) {
        // What an attacker calls a tool by is a name like any other, and is logged as the tool's name.
        let named = format!("tool=\"{text}\"");
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(&text) && !line.contains(&named))
            .take(3)
            .collect();
        assert!(lines.is_empty(), "{how}: {text} is in the log: {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_and_method_is_attacked() {
    let db = TestDb::new().await;
    let world = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let (attacks, uncovered) = attacks(&world);
    assert_eq!(uncovered, NOT_COVERED);
    let tools = ToolName::ALL.iter().map(|tool| tool.as_str());
    for target in tools.chain(server::methods()) {
        let count = attacks.iter().filter(|attack| attack.target == target).count();
        assert!(count >= 40, "{target}: {count}");
    }
    for method in server::methods() {
        let has = |protocol_profile: &ProtocolProfile| protocol_profile.methods().contains(&method);
        assert!(
            ProtocolProfile::ALL.iter().any(has),
            "{method} is there for nobody"
        );
    }
}

/// Every transport that the code knows, by every way into it, all at once. The table tells how often each target was attacked.
#[tokio::test(flavor = "multi_thread")]
async fn over_every_transport_every_attack_is_refused() {
    let ways = TransportKind::ALL.into_iter().flat_map(servers::of);
    let attacked = stream::iter(ways.map(|way| tokio::spawn(attack(way)).map(Result::unwrap)));
    // A few at once: each has connections of its own to the one cluster.
    let proofs: Vec<(&str, ProbeReport)> = attacked.buffered(3).collect().await;
    table::print(&proofs);
    let tools = ToolName::ALL.iter().map(|tool| tool.as_str());
    for target in tools.chain(server::methods()) {
        let was_attacked = proofs.iter().any(|(_, proof)| proof.targets.contains_key(target));
        assert!(was_attacked, "{target}");
    }
}

/// A connection over which everything is refused, whatever is asked.
struct Deaf;

impl ProbeClient for Deaf {
    async fn ask(&mut self, _: &str, _: Value) -> Result<Value, ClientError> {
        Ok(json!({"error": {"code": -32_602, "message": "The header is not there."}}))
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        ProtocolProfile::LegacyStateful
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_that_reach_nothing_prove_nothing() {
    let db = TestDb::new().await;
    let world = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let mut run = Run {
        world: &world,
        admin: &db.admin,
        extent: Extent::EveryNth(10),
        said: EchoedSecrets::default(),
    };
    let proof = run.over(&mut Deaf, &mut Deaf).await.unwrap();
    let found = proof.findings.join("\n");
    for tool in ToolName::ALL.iter().map(|tool| tool.as_str()) {
        for wanted in [
            format!("{tool}: only 0 of"),
            format!("{tool}: it does not even do what is its caller's own to ask before"),
            format!("{tool}: it does not even do what is its caller's own to ask after"),
        ] {
            assert!(found.contains(&wanted), "{wanted}: {found}");
        }
    }
}

/// The database knows the transports too: one that it lets be recorded is one that is attacked.
#[tokio::test(flavor = "multi_thread")]
async fn no_transport_that_can_be_recorded_is_forgotten() {
    let db = TestDb::new().await;
    let mut known: Vec<String> = db
        .value(
            "SELECT array_agg(word[1]) FROM pg_constraint c,
                    regexp_matches(pg_get_constraintdef(c.oid), '''([a-z]+)''', 'g') word
             WHERE c.conrelid = 'usage_events'::regclass AND c.conname LIKE '%transport%'",
        )
        .await;
    known.sort();
    let mut attacked = TransportKind::ALL.map(|transport| transport.as_str().to_owned());
    attacked.sort();
    assert_eq!(known, attacked);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_rehearsal_on_a_live_database_proves_it_and_leaves_nothing_behind() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let tenants = "SELECT count(*) FROM tenants";
    let before = (table_checksums(&db, tenant).await, db.value::<i64>(tenants).await);
    let proof = skillkeep::isolation_probe::dry_run(&db.ways.admin).await.unwrap();
    assert_clean("rehearsal", ProtocolProfile::LegacyStateful, &proof);
    let after = (table_checksums(&db, tenant).await, db.value::<i64>(tenants).await);
    assert_eq!(after, before);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
}

/// Holes that no look at the rows would show, because the queries stay in their tenant: they show in what callers are told.
#[tokio::test(flavor = "multi_thread")]
async fn the_rehearsal_finds_holes_that_only_show_in_answers() {
    for (hole, target) in [
        (
            "ALTER TABLE skill_feedback ADD CONSTRAINT once UNIQUE (idempotency_key)",
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
             CREATE TRIGGER tell BEFORE INSERT ON skill_feedback FOR EACH ROW EXECUTE FUNCTION tell();
             DO $$ BEGIN EXECUTE format('ALTER FUNCTION tell() OWNER TO %I', current_user); END $$",
            "record_usage",
        ),
        // One that all see alike: whoever reports reports what others saved as well.
        (
            "CREATE FUNCTION add() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN
                 NEW.minutes_saved := greatest(NEW.minutes_saved,
                     (SELECT max(r.minutes_saved) FROM skill_feedback r WHERE r.tenant_id <> NEW.tenant_id));
                 RETURN NEW;
             END $$;
             CREATE TRIGGER add BEFORE INSERT ON skill_feedback FOR EACH ROW EXECUTE FUNCTION add()",
            "usage_report: the answer about one's own changed when another tenant came",
        ),
    ] {
        let db = TestDb::new().await;
        db.superuser().await.batch_execute(hole).await.unwrap();
        let proof = skillkeep::isolation_probe::dry_run(&db.ways.admin).await.unwrap();
        assert!(
            proof.findings.iter().any(|finding| finding.starts_with(target)),
            "{hole}: {:?}",
            proof.findings
        );
    }
}
