//! A key as people name it at the command line: its id, the beginning or the end of its id, or its name.

use super::database::db_failure;
use crate::db::TenantTx;
use crate::error::{CliError, CliErrorKind};
use crate::ids::ApiKeyId;
use crate::tenancy::api_keys::{self, StoredApiKey};

/// Characters of a shortened id. Ids that were created within a minute begin alike.
const MIN_PART: usize = 6;

/// Finds the key of the tenant. Of keys with the same name, those that have ended count only if no other has the name.
pub(super) async fn find(tx: &TenantTx, text: &str) -> Result<ApiKeyId, CliError> {
    let keys = api_keys::list(tx).await.map_err(db_failure)?;
    let found = choose(&keys, text);
    match found.as_slice() {
        [key] => Ok(key.id),
        [] => Err(CliError::new(
            CliErrorKind::NotFound,
            format!(
                "the tenant has no API key \"{}\"; `skillkeep key list` shows its keys",
                text.escape_debug()
            ),
        )),
        several => {
            let ids: Vec<String> = several.iter().map(|key| key.id.to_string()).collect();
            Err(CliError::new(
                CliErrorKind::Usage,
                format!(
                    "several keys match \"{}\"; give the id of one: {}",
                    text.escape_debug(),
                    ids.join(", ")
                ),
            ))
        }
    }
}

/// The keys that the text names: by id, else by name, else by a part of the id.
fn choose<'a>(keys: &'a [StoredApiKey], text: &str) -> Vec<&'a StoredApiKey> {
    let part = text.to_ascii_lowercase();
    let with = |matches: &dyn Fn(&StoredApiKey) -> bool| -> Vec<&'a StoredApiKey> {
        keys.iter().filter(|key| matches(key)).collect()
    };
    let by_id = with(&|key| key.id.to_string() == part);
    if !by_id.is_empty() {
        return by_id;
    }
    let by_name = with(&|key| key.name == text);
    let active: Vec<_> = by_name
        .iter()
        .copied()
        .filter(|key| key.state == "active")
        .collect();
    if !active.is_empty() {
        return active;
    }
    if !by_name.is_empty() || part.len() < MIN_PART {
        return by_name;
    }
    with(&|key| {
        let id = key.id.to_string();
        id.starts_with(&part) || id.ends_with(&part)
    })
}
