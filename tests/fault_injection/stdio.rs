//! skillkeep's stdio server with injected faults: every 97th request panics, every 41st waits 100 ms in the database.
//!
//! Usage: `DATABASE_URL=… SKILLKEEP_API_KEY=… SKILLKEEP_LOG=… faulty-stdio`. The URL names a migrated database and the role
//! `skillkeep_app`.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures::FutureExt as _;
use skillkeep::config::LogFormat;
use skillkeep::db::{DatabaseUrl, ServerDb, Sql};
use skillkeep::local_install::{LocalTools, ProjectFolders};
use skillkeep::server::{CallService, ServiceLimits, TestHook};
use skillkeep::telemetry;
use skillkeep::tenancy::ApiKey;
use skillkeep::transport::stdio;

/// As many as `skillkeep stdio` uses.
const CONNECTIONS: usize = 4;
const PANICS_EVERY: u64 = 97;
const WAITS_EVERY: u64 = 41;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    telemetry::start(&std::env::var("SKILLKEEP_LOG")?, LogFormat::Text)?;
    let url: DatabaseUrl = std::env::var("DATABASE_URL")?.parse()?;
    let key: ApiKey = std::env::var("SKILLKEEP_API_KEY")?.parse()?;
    let count = AtomicU64::new(0);
    let faults: TestHook = Arc::new(move |_, tx| {
        let number = count.fetch_add(1, Ordering::Relaxed) + 1;
        async move {
            if number.is_multiple_of(WAITS_EVERY) {
                let slow = Sql::from_file("SELECT pg_sleep(0.1) AS slept");
                // It fails if the call is cancelled meanwhile, which is no fault of the test.
                let _rows = tx.query(slow, &[]).await;
            }
            assert!(!number.is_multiple_of(PANICS_EVERY), "plum-of-a-panic");
        }
        .boxed()
    });
    let service =
        CallService::new(ServerDb::new(&url, CONNECTIONS)?, ServiceLimits::default()).with_test_hook(faults);
    stdio::serve(Arc::new(service), key, LocalTools::new(ProjectFolders::default())).await?;
    Ok(())
}
