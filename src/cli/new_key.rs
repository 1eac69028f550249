//! Prints a new API key. One that cannot be printed is revoked, because nobody has it.

use super::database::{self, db_failure, key_failure};
use super::output;
use crate::db::AdminDb;
use crate::error::{CliError, CliErrorKind};
use crate::ids::ApiKeyId;
use crate::registry::administration;

/// Prints `text`, which contains the key with this id.
pub(super) async fn hand_out(db: &AdminDb, tenant: &str, id: ApiKeyId, text: &str) -> Result<(), CliError> {
    let Err(unwritten) = output::required_line(text) else {
        return Ok(());
    };
    let state = match revoke(db, tenant, id).await {
        Ok(()) => "so it was revoked; create another".to_owned(),
        Err(error) => format!(
            "and is still active, because revoking it failed ({error}); run `skillkeep key revoke {id} --tenant {tenant}`"
        ),
    };
    Err(CliError::new(
        CliErrorKind::Internal,
        format!("the new key {id} could not be printed ({unwritten}), {state}"),
    ))
}

async fn revoke(db: &AdminDb, tenant: &str, id: ApiKeyId) -> Result<(), CliError> {
    let tx = database::tenant_tx(db, tenant).await?;
    administration::api_keys::revoke(&tx, &database::operator(), id)
        .await
        .map_err(key_failure)?;
    tx.commit().await.map_err(db_failure)
}
