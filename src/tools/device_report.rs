//! What a machine reports of its installs, for the administrators' list.

use super::ToolError;
use super::tool::CallContext;
use crate::ids::InstallId;
use crate::registry::installs::{self, DeviceState, Machine};
use crate::registry::settings;

/// Stores what a machine has. Installs that are not this user's are passed over.
pub(super) async fn seen(
    cx: &CallContext<'_>,
    machine: &str,
    states: &[(InstallId, DeviceState)],
) -> Result<(), ToolError> {
    let settings = settings::load(cx.tx).await?;
    let machine = Machine::new(machine, &settings, &cx.principal.cursor_secret);
    // Together, so that they take one round trip.
    let reports = states
        .iter()
        .map(|(id, state)| installs::seen(cx.tx, *id, cx.principal.user, machine.as_ref(), *state));
    futures::future::try_join_all(reports).await?;
    Ok(())
}
