//! `skillkeep skill rescan`: scans stored versions with the current rules.

use serde_json::json;

use super::super::database::{self, db_failure};
use super::super::output;
use crate::config::Config;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::registry::caller::Caller;
use crate::registry::{scans, settings, versions};
use crate::search;

/// Versions that are read from one list.
const BATCH: i64 = 100;

/// Scans each version in a transaction of its own, so that an interrupted run continues where it stopped.
pub(super) async fn run(config: &Config, db: &AdminDb, tenant: &str) -> Result<(), CliError> {
    let caller = Caller::administrator(database::operator());
    let (mut scanned, mut quarantined) = (0_u64, Vec::new());
    loop {
        let tx = database::tenant_tx(db, tenant).await?;
        let settings = settings::load(&tx).await.map_err(db_failure)?;
        let batch = scans::unscanned(&tx, BATCH).await.map_err(db_failure)?;
        tx.rollback().await.map_err(db_failure)?;
        if batch.is_empty() {
            break;
        }
        for files in batch {
            let tx = database::tenant_tx(db, tenant).await?;
            let contents = versions::contents(&tx, files.version).await.map_err(db_failure)?;
            let report = tokio::task::spawn_blocking(move || scans::scan_contents(&contents))
                .await
                .map_err(|error| CliError::new(CliErrorKind::Internal, error.to_string()))?;
            if scans::rescan(&tx, &caller, &files, &report, &settings)
                .await
                .map_err(db_failure)?
            {
                quarantined.push(format!("{} {}", files.slug, files.label));
            }
            search::commit(tx).await.map_err(db_failure)?;
            scanned += 1;
        }
    }
    if config.json {
        return output::json(&json!({"scanned": scanned, "quarantined": quarantined}));
    }
    let list = if quarantined.is_empty() {
        "none is quarantined".to_owned()
    } else {
        format!("quarantined: {}", quarantined.join(", "))
    };
    output::line(&format!("Scanned {scanned} versions; {list}."))
}
