//! Self-test of tenant isolation through the server: an attacker tenant sends every tool and method the identifiers of a victim
//! tenant, and a control tenant sends the same requests with identifiers that do not exist.
//!
//! The requests are generated from the tools' schemas and the server's list of methods, so a new tool is attacked without further
//! code. Both responses must be equal, contain no data of the victim and leave the same number of rows, and no row of the
//! victim may change.

mod attack;
mod attack_run;
mod client;
mod coverage;
mod error;
mod fixtures;
mod oracle;
mod positive_control;
mod report;
mod schema;
mod test_tenant;

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::db::{AdminDb, DatabaseUrl, RollbackSession, ServerDb, table_sums};
use crate::ids::TenantId;
use crate::server::{CallService, ProtocolProfile, ServiceLimits};

pub use attack::Attack;
pub use attack::generator::attacks;
pub use attack_run::{AttackRun, AttackSelection};
pub use client::{InMemoryClient, LISTEN, ProbeClient, build_request, is_response_to};
pub use error::{ClientError, ProbeError};
pub use fixtures::Fixtures;
pub use oracle::EchoedSecrets;
pub use positive_control::OwnRequest;
pub use report::{ProbeReport, Tally};
pub use test_tenant::{Identifier, TestTenant};

/// Creates the three tenants, attacks, and rolls everything back: nothing is ever committed.
///
/// # Errors
/// When the database fails or the server stops responding.
pub async fn dry_run(admin: &DatabaseUrl) -> Result<ProbeReport, ProbeError> {
    let session = RollbackSession::new(admin)?;
    let server = session.server();
    let report = dry_run_in(&session, &server).await;
    // Its connection for notifications would otherwise report that the database stopped.
    server.stop_listening();
    let ended = session.end().await;
    let report = report?;
    ended?;
    Ok(report)
}

async fn dry_run_in(session: &RollbackSession, server: &ServerDb) -> Result<ProbeReport, ProbeError> {
    let admin = session.admin();
    let service = Arc::new(CallService::new(server.clone(), ServiceLimits::default()));
    let fixtures = Fixtures::create(&admin, &service).await?;
    let before = table_sums(&admin, fixtures.victim.tenant).await?;
    let mut run = AttackRun {
        fixtures: &fixtures,
        admin: &admin,
        selection: AttackSelection::EveryNth(1),
        echoed: EchoedSecrets::default(),
    };
    let mut attacker = InMemoryClient::connect_legacy(&service, fixtures.attacker.key.clone()).await?;
    let mut control = InMemoryClient::connect_legacy(&service, fixtures.control.key.clone()).await?;
    let mut report = run.execute(&mut attacker, &mut control).await?;
    // The methods that only the current protocol version has.
    run.selection =
        AttackSelection::Methods(ProtocolProfile::Current.methods_not_in(ProtocolProfile::LegacyStateful));
    let mut attacker = InMemoryClient::connect_current(&service, fixtures.attacker.key.clone());
    let mut control = InMemoryClient::connect_current(&service, fixtures.control.key.clone());
    report.merge(run.execute(&mut attacker, &mut control).await?);
    let after = table_sums(&admin, fixtures.victim.tenant).await?;
    report.findings.extend(
        changed_tables(&before, &after)
            .map(|table| format!("the attacks changed the victim's rows in {table}")),
    );
    let attacker_rows = row_counts(&admin, fixtures.attacker.tenant).await?;
    let control_rows = row_counts(&admin, fixtures.control.tenant).await?;
    report
        .findings
        .extend(changed_tables(&attacker_rows, &control_rows).map(|table| {
            format!("requests with another tenant's identifiers leave a different number of rows in {table} than requests with missing ones")
        }));
    Ok(report)
}

/// The tables whose value differs between the two maps.
fn changed_tables<'a, V: PartialEq>(
    before: &'a BTreeMap<String, V>,
    after: &'a BTreeMap<String, V>,
) -> impl Iterator<Item = &'a String> {
    before
        .iter()
        .filter(|(table, value)| after.get(*table) != Some(*value))
        .map(|(table, _)| table)
}

async fn row_counts(admin: &AdminDb, tenant: TenantId) -> Result<BTreeMap<String, i64>, ProbeError> {
    let sums = table_sums(admin, tenant).await?;
    Ok(sums.into_iter().map(|(table, (rows, _))| (table, rows)).collect())
}
