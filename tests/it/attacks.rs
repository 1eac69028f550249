//! One tenant attacks another through every tool and method, over every transport.
//!
//! The attacks are those of `skillkeep doctor`, generated from the tools' schemas and the server's list of methods.

pub(crate) mod clients;
mod download;
mod headers;
mod hidden_skills;
mod method_inventory;
mod query_count;
mod recording_proxy;
mod role;
mod servers;
mod single_policy;
mod subscriptions;
mod table;
mod upload;

use futures::{FutureExt as _, StreamExt as _, stream};
use serde_json::{Value, json};
use skillkeep::ids::TenantId;
use skillkeep::isolation_probe::{
    AttackRun, AttackSelection, ClientError, EchoedSecrets, Fixtures, ProbeClient, ProbeReport, attacks,
    dry_run,
};
use skillkeep::server::{self, ProtocolProfile, TransportKind};
use skillkeep::tools::ToolName;

use crate::harness::TestDb;
use crate::helpers::table_checksums;
use servers::{Route, TestServer};

/// Tools and methods without attacks. Must stay empty.
const NOT_COVERED: [&str; 0] = [];

/// All attacks in memory. Over the slower transports one in five; `SKILLKEEP_ATTACKS_OF=N` asks for one in N, and `.ci/run` for
/// one in three.
fn selection(route: Route) -> AttackSelection {
    let asked = std::env::var("SKILLKEEP_ATTACKS_OF").ok();
    match asked.map(|text| text.parse().expect("SKILLKEEP_ATTACKS_OF is a number above 0")) {
        _ if route.is_fast() => AttackSelection::EveryNth(1),
        Some(nth) => AttackSelection::EveryNth(nth),
        None => AttackSelection::EveryNth(5),
    }
}

fn assert_no_findings(route: &str, protocol_profile: ProtocolProfile, report: &ProbeReport) {
    let first: Vec<&String> = report.findings.iter().take(10).collect();
    assert!(
        report.findings.is_empty(),
        "{route}: {} findings, among them {first:#?}",
        report.findings.len()
    );
    // One in five of all; the current protocol version has fewer methods.
    let minimum = match protocol_profile {
        ProtocolProfile::LegacyStateful | ProtocolProfile::LegacyStateless => 1_000,
        ProtocolProfile::Current => 900,
    };
    assert!(report.attacks > minimum, "{route}: {}", report.attacks);
}

/// Attacks over one route, and checks the rows, the notifications and the server's log afterwards.
async fn attack(route: Route) -> (&'static str, ProbeReport) {
    let server = TestServer::new(route).await;
    let fixtures = &server.fixtures;
    let before = table_checksums(&server.db, fixtures.victim.tenant).await;
    let mut attacker = server.connect(route, &fixtures.attacker.key).await;
    let mut control = server.connect(route, &fixtures.control.key).await;
    let mut run = AttackRun {
        fixtures,
        admin: &server.db.admin,
        selection: selection(route),
        echoed: EchoedSecrets::default(),
    };
    let report = run.execute(&mut attacker, &mut control).await.unwrap();
    assert_no_findings(route.name, attacker.protocol_profile(), &report);
    let after = table_checksums(&server.db, fixtures.victim.tenant).await;
    assert_eq!(after, before, "{}", route.name);
    let rows = async |tenant: TenantId| -> Vec<(String, i64)> {
        let checksums = table_checksums(&server.db, tenant).await;
        checksums
            .into_iter()
            .map(|(table, (rows, _))| (table, rows))
            .collect()
    };
    assert_eq!(
        rows(fixtures.attacker.tenant).await,
        rows(fixtures.control.tenant).await,
        "{}: the attacker's requests leave other rows than the control's",
        route.name
    );
    attacker.close().await;
    control.close().await;
    if route.has_notifications() {
        subscriptions::assert_isolated(&server, route).await;
    }
    if let Some(log) = server.read_log() {
        assert_log_has_no_secrets(route.name, fixtures, &log);
    }
    (route.name, report)
}

/// Even at level `trace` the log contains no API key, nothing of the victim and nothing that the attackers sent.
fn assert_log_has_no_secrets(route: &str, fixtures: &Fixtures, log: &str) {
    assert!(log.lines().count() > 1_000, "{route}: the log is on");
    assert!(!log.contains("skeep_"), "{route}: an API key is in the log");
    let identifiers = fixtures.identifiers.iter();
    let sent = identifiers.flat_map(|id| [id.existing.clone(), id.missing.clone()]);
    let own = [
        "Fills in the usual forms",
        "tenant_id <> current_tenant_id()",
        "pg_sleep(10)",
        "looked for by",
    ];
    let texts = fixtures.secrets.iter().cloned().chain(sent);
    for text in texts.chain(own.map(str::to_owned)) {
        // The name of an unknown tool is logged like any other tool's name.
        let as_tool_name = format!("tool=\"{text}\"");
        let lines: Vec<&str> = log
            .lines()
            .filter(|line| line.contains(&text) && !line.contains(&as_tool_name))
            .take(3)
            .collect();
        assert!(lines.is_empty(), "{route}: {text} is in the log: {lines:#?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_tool_and_method_is_attacked() {
    let db = TestDb::new().await;
    let fixtures = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let (attacks, uncovered) = attacks(&fixtures);
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
            "no protocol profile has {method}"
        );
    }
}

/// With `--nocapture` a table shows how often each target was attacked over each route.
#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_refused_over_every_transport() {
    let routes = TransportKind::ALL.into_iter().flat_map(servers::routes);
    let attacked = stream::iter(routes.map(|route| tokio::spawn(attack(route)).map(Result::unwrap)));
    // Three at once: each has its own connections to the one cluster.
    let reports: Vec<(&str, ProbeReport)> = attacked.buffered(3).collect().await;
    table::print(&reports);
    let tools = ToolName::ALL.iter().map(|tool| tool.as_str());
    for target in tools.chain(server::methods()) {
        let was_attacked = reports
            .iter()
            .any(|(_, report)| report.targets.contains_key(target));
        assert!(was_attacked, "{target}");
    }
}

/// Rejects every request before it reaches its target.
struct RejectingClient;

impl ProbeClient for RejectingClient {
    async fn request(&mut self, _: &str, _: Value) -> Result<Value, ClientError> {
        Ok(json!({"error": {"code": -32_602, "message": "The header is not there."}}))
    }

    fn protocol_profile(&self) -> ProtocolProfile {
        ProtocolProfile::LegacyStateful
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn attacks_that_do_not_reach_their_target_are_findings() {
    let db = TestDb::new().await;
    let fixtures = Fixtures::create(&db.admin, &db.service()).await.unwrap();
    let mut run = AttackRun {
        fixtures: &fixtures,
        admin: &db.admin,
        selection: AttackSelection::EveryNth(10),
        echoed: EchoedSecrets::default(),
    };
    let report = run
        .execute(&mut RejectingClient, &mut RejectingClient)
        .await
        .unwrap();
    let findings = report.findings.join("\n");
    for tool in ToolName::ALL.iter().map(|tool| tool.as_str()) {
        for expected in [
            format!("{tool}: only 0 of"),
            format!("{tool}: a request for own data failed before"),
            format!("{tool}: a request for own data failed after"),
        ] {
            assert!(findings.contains(&expected), "{expected}: {findings}");
        }
    }
}

/// Each transport that the database accepts in a usage event is one that is attacked.
#[tokio::test(flavor = "multi_thread")]
async fn every_recordable_transport_is_attacked() {
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
async fn dry_run_finds_nothing_and_leaves_nothing() {
    let db = TestDb::new().await;
    let tenant = db.tenant("acme").await;
    let tenants = "SELECT count(*) FROM tenants";
    let before = (table_checksums(&db, tenant).await, db.value::<i64>(tenants).await);
    let report = dry_run(&db.ways.admin).await.unwrap();
    assert_no_findings("dry run", ProtocolProfile::LegacyStateful, &report);
    let after = (table_checksums(&db, tenant).await, db.value::<i64>(tenants).await);
    assert_eq!(after, before);
    assert_eq!(db.value::<i64>("SELECT count(*) FROM usage_events").await, 0);
}

/// These leaks do not show in any row, only in responses, because each query stays in its tenant.
#[tokio::test(flavor = "multi_thread")]
async fn dry_run_finds_leaks_that_show_only_in_responses() {
    let unique = (
        "ALTER TABLE skill_feedback ADD CONSTRAINT once UNIQUE (idempotency_key)",
        "record_usage",
    );
    let telling = (
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
    );
    // The same for attacker and control: every report includes minutes that other tenants saved.
    let adding = (
        "CREATE FUNCTION add() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
         BEGIN
             NEW.minutes_saved := greatest(NEW.minutes_saved,
                 (SELECT max(r.minutes_saved) FROM skill_feedback r WHERE r.tenant_id <> NEW.tenant_id));
             RETURN NEW;
         END $$;
         CREATE TRIGGER add BEFORE INSERT ON skill_feedback FOR EACH ROW EXECUTE FUNCTION add()",
        "usage_report: the response about own data changed when another tenant was created",
    );
    // A run takes a minute, so leaks whose findings differ share one.
    for leaks in [vec![unique, adding], vec![telling]] {
        let db = TestDb::new().await;
        for (leak, _) in &leaks {
            db.superuser().await.batch_execute(leak).await.unwrap();
        }
        let report = dry_run(&db.ways.admin).await.unwrap();
        for (leak, finding) in leaks {
            assert!(
                report.findings.iter().any(|found| found.starts_with(finding)),
                "{leak}: {:?}",
                report.findings
            );
        }
    }
}
