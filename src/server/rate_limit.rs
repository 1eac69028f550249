//! Whether a caller may make one more call, in a minute and in a month.

use super::service::CallService;
use crate::db::{DbError, TenantTx};
use crate::tenancy::{ApiKey, AuthError, CallPermit, OverLimit, Principal, authenticate};

impl CallService {
    /// Counts a request of this principal, unless it is more than he may make.
    ///
    /// # Errors
    /// When the calls of the month cannot be counted.
    pub async fn admit(
        &self,
        key: &ApiKey,
        principal: &Principal,
    ) -> Result<Result<CallPermit, OverLimit>, AuthError> {
        if self.meter.needs_refresh(principal) {
            // Before a place on the database is taken: those who wait here take none from others.
            let _turn = self.meter.refresh_lock(principal.tenant).await;
            if self.meter.needs_refresh(principal) {
                let (tx, principal) = authenticate(&self.db, key).await?;
                self.meter.refresh(&tx, &principal).await?;
                tx.roll_back().await?;
            }
        }
        Ok(self.meter.admit(principal))
    }

    /// The same over stdio, where the call's own transaction is open already.
    pub(super) async fn admit_in(
        &self,
        tx: &TenantTx,
        principal: &Principal,
    ) -> Result<Result<CallPermit, OverLimit>, DbError> {
        if self.meter.needs_refresh(principal) {
            let _turn = self.meter.refresh_lock(principal.tenant).await;
            if self.meter.needs_refresh(principal) {
                self.meter.refresh(tx, principal).await?;
            }
        }
        Ok(self.meter.admit(principal))
    }
}
