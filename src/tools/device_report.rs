//! What a machine reports of its installs, for the administrators' list.

use super::ToolError;
use super::tool::CallContext;
use crate::ids::InstallId;
use crate::registry::installs::{self, DeviceState, Machine};
use crate::registry::settings;

/// The report of a machine, as the tenant's settings say how to keep its name.
pub(super) struct DeviceReport {
    /// `None` if its name cannot be kept.
    machine: Option<Machine>,
}

impl DeviceReport {
    pub(super) async fn of(cx: &CallContext<'_>, machine: &str) -> Result<Self, ToolError> {
        let settings = settings::load(cx.tx).await?;
        Ok(Self {
            machine: Machine::new(machine, &settings, &cx.principal.cursor_secret),
        })
    }

    /// Stores what the machine has. Installs that are not this user's are passed over.
    pub(super) async fn store(
        &self,
        cx: &CallContext<'_>,
        states: &[(InstallId, DeviceState)],
    ) -> Result<(), ToolError> {
        // Together, so that they take one round trip.
        let reports = states
            .iter()
            .map(|(id, state)| installs::seen(cx.tx, *id, cx.principal.user, self.machine.as_ref(), *state));
        futures::future::try_join_all(reports).await?;
        Ok(())
    }
}
