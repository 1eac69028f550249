//! Random operations by eight concurrent tenants, each response compared with a model in memory, while faults are injected.
//!
//! Runs for 8 seconds, or for `SKILLKEEP_MODEL_SECONDS`. `SKILLKEEP_MODEL_SEED` repeats a run's random numbers. All tenants use the
//! same names, so data that leaks from one to another is a difference.

mod admin;
mod authors;
mod calls;
mod compare;
mod managers;
mod plan;
mod readers;
mod reviewers;
mod skill;
mod state;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures::FutureExt as _;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use skillkeep::db::Sql;
use skillkeep::ids::TenantId;
use skillkeep::server::{CallService, ServiceLimits};
use skillkeep::tools::ToolName;

use crate::harness::TestDb;
use crate::helpers::test_hook;
use crate::http_server::serve;
use state::Tenant;

const TENANTS: usize = 8;
/// The time-out of a call.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// A fault injected into a call inside the server.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Fault {
    Panic,
    BadStatement,
    Hang,
    SlowStatement,
}

/// The fault for the next call of each tenant.
pub(super) type Faults = Arc<Mutex<HashMap<TenantId, Fault>>>;

/// Shared by all tenants.
pub(super) struct Fixtures {
    pub(super) db: TestDb,
    /// Two servers on one database.
    pub(super) services: [Arc<CallService>; 2],
    pub(super) addresses: [std::net::SocketAddr; 2],
    pub(super) faults: Faults,
}

async fn inject(fault: Option<Fault>, tx: &skillkeep::db::TenantTx) {
    match fault {
        None => {}
        Some(Fault::Panic) => panic!("a test's panic"),
        Some(Fault::BadStatement) => {
            let _ = tx
                .query(Sql::from_file("SELECT 1 / length('') AS injected_fault"), &[])
                .await;
        }
        Some(Fault::Hang) => tokio::time::sleep(Duration::from_secs(300)).await,
        Some(Fault::SlowStatement) => {
            let _ = tx
                .query(Sql::from_file("SELECT pg_sleep(300) AS injected_fault"), &[])
                .await;
        }
    }
}

impl Fixtures {
    async fn new() -> Arc<Self> {
        let db = TestDb::new().await;
        let faults = Faults::default();
        let service = || {
            let faults = Arc::clone(&faults);
            let hook = test_hook(move |_, tx| {
                let fault = faults.lock().unwrap().remove(&tx.tenant());
                async move { inject(fault, tx).await }.boxed()
            });
            db.service_with_faults(
                ServiceLimits {
                    call_timeout: CALL_TIMEOUT,
                    ..ServiceLimits::default()
                },
                hook,
            )
        };
        let services = [service(), service()];
        let addresses = [serve(&services[0]).await, serve(&services[1]).await];
        Arc::new(Self {
            db,
            services,
            addresses,
            faults,
        })
    }
}

/// Terminates database sessions of the servers at random times, until the task is aborted.
async fn kill_backends(fixtures: Arc<Fixtures>, mut random: StdRng) {
    let superuser = fixtures.db.superuser().await;
    loop {
        tokio::time::sleep(Duration::from_millis(random.random_range(300..3_000))).await;
        superuser
            .batch_execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
                 WHERE datname = current_database() AND usename = 'skillkeep_app' AND random() < 0.5",
            )
            .await
            .unwrap();
    }
}

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn eight_tenants_match_their_models_under_fault_injection() {
    let seconds = setting("SKILLKEEP_MODEL_SECONDS", 8);
    let seed = setting("SKILLKEEP_MODEL_SEED", rand::random());
    eprintln!("model: {seconds} seconds with SKILLKEEP_MODEL_SEED={seed}");
    let until = Instant::now() + Duration::from_secs(seconds);
    let fixtures = Fixtures::new().await;
    let killer = tokio::spawn(kill_backends(Arc::clone(&fixtures), StdRng::seed_from_u64(seed)));
    let mut running = Vec::new();
    for number in 0..TENANTS {
        let (fixtures, random) = (
            Arc::clone(&fixtures),
            StdRng::seed_from_u64(seed.wrapping_add(1 + number as u64)),
        );
        running.push(tokio::spawn(async move {
            let mut tenant = Tenant::new(fixtures, number, random).await;
            while Instant::now() < until {
                tenant.step().await;
            }
            tenant
        }));
    }
    let mut tenants = Vec::new();
    for task in running {
        tenants.push(
            task.await
                .unwrap_or_else(|error| panic!("SKILLKEEP_MODEL_SEED={seed}: {error}")),
        );
    }
    killer.abort();
    for service in &fixtures.services {
        service.drain().await;
    }
    let mut totals = state::Counts::default();
    for tenant in &mut tenants {
        tenant.compare().await;
        totals.add(&tenant.counts);
    }
    eprintln!("model: {totals:?}");
    assert!(totals.answered > 20 * seconds, "{totals:?}");
    assert!(totals.faults > 0 && totals.admin > 0, "{totals:?}");
    // In a short run on a busy machine a tool may be refused each time.
    let min_ok = u64::from(totals.answered > 2_000);
    for tool in ToolName::ALL {
        let answers = totals.tools.get(tool.as_str()).copied().unwrap_or_default();
        assert!(
            answers.called > 0 && answers.ok >= min_ok,
            "{}: {totals:?}",
            tool.as_str()
        );
    }
}
