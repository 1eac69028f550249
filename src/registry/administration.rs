//! Administrative actions: each function changes rows and writes the audit entry of the change in the same transaction.
//!
//! Commands call these functions instead of the row functions in [`tenancy`](crate::tenancy), so that no change is missing from
//! the audit log; a test in `tests/it/audit/admin_actions.rs` checks that the command line does so.

pub mod api_keys;
pub mod audit_log;
pub mod denylist;
pub mod distributions;
pub mod groups;
pub mod recall;
pub mod secret_paths;
pub mod settings;
pub mod signing_keys;
pub mod skills;
pub mod tenants;
pub mod usage;
pub mod users;

use serde_json::Value;

use super::audit::{self, Actor, Entry};
use crate::db::{DbError, TenantTx};

/// Source of the entries: administration is possible at the command line only.
const SOURCE: &str = "cli";

async fn record(
    tx: &TenantTx,
    actor: &Actor,
    action: &str,
    subject: &str,
    details: Value,
) -> Result<(), DbError> {
    let entry = Entry {
        actor,
        action,
        subject,
        details,
        source: SOURCE,
    };
    audit::write(tx, &entry).await
}
