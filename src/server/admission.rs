//! Whether a caller may make one more call, in a minute and in a month.

use super::door::Door;
use crate::db::{DbError, TenantTx};
use crate::tenancy::{Admission, ApiKey, AuthError, OverLimit, Principal, authenticate};

impl Door {
    /// Counts a request of this principal, unless it is more than he may make.
    ///
    /// # Errors
    /// When the calls of the month cannot be counted.
    pub async fn admit(
        &self,
        key: &ApiKey,
        principal: &Principal,
    ) -> Result<Result<Admission, OverLimit>, AuthError> {
        if self.meter.must_ask(principal) {
            // Before a place on the database is taken: those who wait here take none from others.
            let _turn = self.meter.turn_to_ask(principal.tenant).await;
            if self.meter.must_ask(principal) {
                let (tx, principal) = authenticate(&self.db, key).await?;
                self.meter.ask(&tx, &principal).await?;
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
    ) -> Result<Result<Admission, OverLimit>, DbError> {
        if self.meter.must_ask(principal) {
            let _turn = self.meter.turn_to_ask(principal.tenant).await;
            if self.meter.must_ask(principal) {
                self.meter.ask(tx, principal).await?;
            }
        }
        Ok(self.meter.admit(principal))
    }
}
