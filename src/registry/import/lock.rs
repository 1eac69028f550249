//! One import at a time into a tenant.
//!
//! Two imports of one source would each see skills that the other is about to store, and a dry run keeps the tenant locked until its
//! end, longer than a statement may wait.

use crate::db::{AdminDb, DbError, TenantTx};
use crate::ids::TenantId;
use crate::sql;

/// Held until the import ends. The transaction changes nothing and sees no rows, so it delays no clean-up of the database.
pub(super) struct ImportLock(TenantTx);

impl ImportLock {
    /// Waits until no other import into the tenant runs. Calls `on_wait` if there is one.
    pub(super) async fn take(
        db: &AdminDb,
        tenant: TenantId,
        on_wait: impl FnOnce(),
    ) -> Result<Self, DbError> {
        let mut tx = TenantTx::begin_as_admin(db, tenant).await?;
        tx.without_time_limit().await?;
        let row = tx
            .query_one(sql!("skills/try_import_lock.sql"), &[tenant.as_uuid()])
            .await?;
        if !row.try_get::<_, bool>("taken")? {
            on_wait();
            tx.query_one(sql!("skills/import_lock.sql"), &[tenant.as_uuid()])
                .await?;
        }
        Ok(Self(tx))
    }

    pub(super) async fn release(self) -> Result<(), DbError> {
        self.0.rollback().await
    }
}
