//! Create, change, suspend, resume, export and erase tenants.

use std::collections::BTreeMap;
use std::io;

use serde::Serialize;
use serde_json::{Value, json};
use tokio_postgres::error::SqlState;
use uuid::Uuid;

use super::record;
use crate::db::{AdminDb, DbError, ExportItem, TenantTx, export_tenant};
use crate::ids::{Slug, TenantId};
use crate::registry::audit::Actor;
use crate::tenancy::CallLimits;
use crate::tenancy::tenants::{self, Status, Tenant};

/// Attempts to erase a tenant. Running calls end within 30 seconds, and the database detects a deadlock after one second.
const MAX_ERASE_ATTEMPTS: u32 = 60;

/// Why an action on a tenant failed.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    #[error("the slug is taken by another tenant")]
    SlugTaken,
    /// `erased-` and a UUID: an erased tenant gets this slug, and its erasure must not fail because the slug is taken.
    #[error("slugs of the form erased-ID are reserved for erased tenants")]
    ReservedSlug,
    #[error("the tenant was erased")]
    Erased,
    /// Every attempt to erase the tenant ended in a deadlock with running calls. Nothing was erased.
    #[error("calls of the tenant are still running")]
    Busy,
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Creates a tenant. Entry: `tenant.create`, the first of its log.
///
/// # Errors
/// [`TenantError::SlugTaken`], [`TenantError::ReservedSlug`].
pub async fn create(
    db: &AdminDb,
    actor: &Actor,
    slug: &Slug,
    name: &str,
    call_limits: CallLimits,
) -> Result<TenantId, TenantError> {
    let erased_id = slug.as_str().strip_prefix("erased-");
    if erased_id.is_some_and(|id| Uuid::try_parse(id).is_ok()) {
        return Err(TenantError::ReservedSlug);
    }
    // The transaction needs the id first, so that the tenant and the first entry of its log are committed together.
    let id = TenantId::new();
    let tx = TenantTx::begin_as_admin(db, id).await?;
    if !tenants::create(&tx, slug, name, call_limits).await? {
        return Err(TenantError::SlugTaken);
    }
    let details = json!({"after": {"name": name, "status": Status::Active.as_str(), "limits": call_limits}});
    record(&tx, actor, "tenant.create", slug.as_str(), details).await?;
    tx.commit().await?;
    Ok(id)
}

/// Locks the tenant's row against changes until the transaction ends.
async fn lock(tx: &TenantTx) -> Result<Tenant, TenantError> {
    tenants::lock(tx)
        .await?
        .filter(|tenant| !tenant.is_erased())
        .ok_or(TenantError::Erased)
}

/// Begins a transaction that prevents the erasure of the tenant until it ends.
async fn begin(db: &AdminDb, tenant: TenantId) -> Result<TenantTx, TenantError> {
    let tx = TenantTx::begin_as_admin(db, tenant).await?;
    if tenants::lock_key_share(&tx).await? {
        Ok(tx)
    } else {
        Err(TenantError::Erased)
    }
}

/// Suspends or resumes a tenant; returns whether the status changed. Entry: `tenant.suspend` or `tenant.resume`, if it did.
///
/// # Errors
/// [`TenantError::Erased`].
pub async fn set_status(tx: &TenantTx, actor: &Actor, status: Status) -> Result<bool, TenantError> {
    let before = lock(tx).await?;
    let changed = tenants::set_status(tx, status).await?;
    if changed {
        let action = match status {
            Status::Active => "tenant.resume",
            Status::Suspended => "tenant.suspend",
        };
        let details = json!({"before": {"status": before.status}, "after": {"status": status.as_str()}});
        record(tx, actor, action, &before.slug, details).await?;
    }
    Ok(changed)
}

/// Changes name, limits and search text setting of a tenant and returns the new state. The tenant's row is locked in between, so
/// concurrent changes of different settings do not overwrite each other. Entry: `tenant.set`.
///
/// # Errors
/// [`TenantError::Erased`].
pub async fn change(
    tx: &TenantTx,
    actor: &Actor,
    change: impl FnOnce(&mut Tenant),
) -> Result<Tenant, TenantError> {
    let before = lock(tx).await?;
    let mut after = before.clone();
    change(&mut after);
    tenants::update(tx, &after).await?;
    let details = json!({"before": settings(&before), "after": settings(&after)});
    record(tx, actor, "tenant.set", &before.slug, details).await?;
    Ok(after)
}

fn settings(tenant: &Tenant) -> Value {
    json!({"name": tenant.name, "limits": tenant.call_limits, "search_text": tenant.search_text})
}

/// Erases everything of a tenant except its audit log; returns the number of erased rows per table. Entries: `tenant.suspend`,
/// if the tenant was active, and `tenant.erase`, the certificate of erasure.
///
/// # Errors
/// [`TenantError::Erased`] if the tenant was erased before, [`TenantError::Busy`].
pub async fn erase(
    db: &AdminDb,
    actor: &Actor,
    tenant: &Tenant,
) -> Result<BTreeMap<String, i64>, TenantError> {
    // Suspended first, so that the erasure waits for the running calls only and not for new ones.
    let tx = begin(db, tenant.id).await?;
    set_status(&tx, actor, Status::Suspended).await?;
    tx.commit().await?;
    for _ in 0..MAX_ERASE_ATTEMPTS {
        match erase_once(db, actor, tenant).await {
            // A running call held a row that the erasure waited for, and waited for the tenant's row itself.
            Err(error) if has_state(&error, &SqlState::T_R_DEADLOCK_DETECTED) => {}
            Err(error) if has_state(&error, &SqlState::OBJECT_NOT_IN_PREREQUISITE_STATE) => {
                return Err(TenantError::Erased);
            }
            Err(error) => return Err(error.into()),
            Ok(rows) => return Ok(rows),
        }
    }
    Err(TenantError::Busy)
}

fn has_state(error: &DbError, state: &SqlState) -> bool {
    error.sql_state() == Some(state)
}

/// Erases the rows and writes the certificate in one transaction.
async fn erase_once(db: &AdminDb, actor: &Actor, tenant: &Tenant) -> Result<BTreeMap<String, i64>, DbError> {
    let mut tx = TenantTx::begin_as_admin(db, tenant.id).await?;
    let rows = tenants::erase(&mut tx).await?;
    let certificate = json!({
        "before": {"status": tenant.status}, "after": {"status": "erased"}, "erased_rows": rows,
    });
    record(&tx, actor, "tenant.erase", &tenant.id.to_string(), certificate).await?;
    tx.commit().await?;
    Ok(rows)
}

/// Receives the rows and files of an exported tenant.
pub trait ExportSink {
    /// # Errors
    /// When the item cannot be written; the export then ends.
    fn write(&mut self, item: ExportItem<'_>) -> io::Result<()>;

    /// Called after the last item. The export is recorded as done only if this succeeds.
    ///
    /// # Errors
    /// When an item is not written completely.
    fn flush(&mut self) -> io::Result<()>;
}

/// What an export contains.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ExportSummary {
    /// Number of rows per table.
    pub rows: BTreeMap<String, u64>,
    pub files: u64,
}

/// Why an export failed.
#[derive(Debug, thiserror::Error)]
pub enum ExportError {
    #[error("cannot write the export: {0}")]
    Sink(#[from] io::Error),
    #[error(transparent)]
    Tenant(#[from] TenantError),
}

/// Exports every row and file of a tenant, from one snapshot. Entries: `tenant.export` with the state `begun`, which is part of
/// the export, and with the state `done`. An export without the second entry is incomplete.
///
/// # Errors
/// [`ExportError::Sink`] with the error of the sink, [`TenantError::Erased`].
pub async fn export(
    db: &AdminDb,
    actor: &Actor,
    tenant: &Tenant,
    sink: &mut impl ExportSink,
) -> Result<ExportSummary, ExportError> {
    let begun = json!({"state": "begun"});
    record_export(db, actor, tenant, json!({"after": begun})).await?;
    let mut summary = ExportSummary::default();
    let mut sink_error = None;
    let exported = export_tenant(db, tenant.id, |item| {
        match &item {
            ExportItem::Row { table, .. } => *summary.rows.entry((*table).to_owned()).or_default() += 1,
            ExportItem::File { .. } => summary.files += 1,
        }
        sink.write(item).map_err(|error| {
            let message = error.to_string();
            sink_error = Some(error);
            DbError::Corrupt(message)
        })
    })
    .await;
    if let Some(error) = sink_error {
        return Err(error.into());
    }
    exported.map_err(TenantError::from)?;
    sink.flush()?;
    let done = json!({"state": "done", "rows": summary.rows, "files": summary.files});
    record_export(db, actor, tenant, json!({"before": begun, "after": done})).await?;
    Ok(summary)
}

async fn record_export(
    db: &AdminDb,
    actor: &Actor,
    tenant: &Tenant,
    details: Value,
) -> Result<(), TenantError> {
    let tx = begin(db, tenant.id).await?;
    record(&tx, actor, "tenant.export", &tenant.slug, details).await?;
    tx.commit().await?;
    Ok(())
}
