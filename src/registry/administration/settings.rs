//! Change the settings of a tenant.

use serde_json::json;

use super::record;
use crate::db::{DbError, TenantTx};
use crate::registry::audit::Actor;
use crate::registry::installs;
use crate::registry::settings::{self, SettingError, SettingKey, Settings};

/// Why a setting was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error(transparent)]
    Setting(#[from] SettingError),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Sets a setting from its text and returns all settings. Entry: `settings.set`, if the value changed.
///
/// # Errors
/// [`ChangeError`]; the transaction must then be rolled back.
pub async fn set(
    tx: &TenantTx,
    actor: &Actor,
    key: SettingKey,
    value: &str,
) -> Result<Settings, ChangeError> {
    let before = settings::load(tx).await?;
    let mut after = before.clone();
    after.set(key, value)?;
    if after == before {
        return Ok(after);
    }
    settings::store(tx, key, &after).await?;
    if before.keeps_machine_names && !after.keeps_machine_names {
        installs::forget_machines(tx).await?;
    }
    let details = json!({
        "before": {"value": loggable(key, &before)},
        "after": {"value": loggable(key, &after)},
    });
    record(tx, actor, "settings.set", key.as_str(), details).await?;
    Ok(after)
}

/// The value for the audit log, which must not contain addresses of people.
fn loggable(key: SettingKey, settings: &Settings) -> String {
    match key {
        SettingKey::PublishUsers => match &settings.publishers {
            Some(users) => format!("{} users", users.len()),
            None => settings.get(key),
        },
        SettingKey::ReviewPolicy
        | SettingKey::ReviewAssistants
        | SettingKey::ScannerThreshold
        | SettingKey::ScannerBaseline
        | SettingKey::DefaultAssistant
        | SettingKey::CatalogLanguage
        | SettingKey::UsageRetention
        | SettingKey::StorageLimit
        | SettingKey::MachineNames => settings.get(key),
    }
}
