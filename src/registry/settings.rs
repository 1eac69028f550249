//! The settings of a tenant: typed, with defaults. Rows exist only for settings that differ from their defaults.

use serde_json::{Value, json};
use skill_scanner::Severity;

use super::caller::Caller;
use crate::db::{DbError, TenantTx};
use crate::sql;

/// The longest list in a setting.
const MAX_ITEMS: usize = 1_000;

/// 10 GiB: the files of about 200,000 skills of usual size.
const DEFAULT_STORAGE_MIB: u64 = 10_240;
const MAX_STORAGE_MIB: u64 = 100_000_000;

/// A setting that administrators may change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingKey {
    ReviewPolicy,
    ReviewAssistants,
    PublishUsers,
    ScannerThreshold,
    ScannerBaseline,
    DefaultAssistant,
    CatalogLanguage,
    UsageRetention,
    StorageLimit,
    MachineNames,
}

impl SettingKey {
    pub const ALL: [Self; 10] = [
        Self::ReviewPolicy,
        Self::ReviewAssistants,
        Self::PublishUsers,
        Self::ScannerThreshold,
        Self::ScannerBaseline,
        Self::DefaultAssistant,
        Self::CatalogLanguage,
        Self::UsageRetention,
        Self::StorageLimit,
        Self::MachineNames,
    ];

    /// The spelling in the database and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReviewPolicy => "review.policy",
            Self::ReviewAssistants => "review.assistants",
            Self::PublishUsers => "publish.users",
            Self::ScannerThreshold => "scanner.threshold",
            Self::ScannerBaseline => "scanner.baseline",
            Self::DefaultAssistant => "assistant.default",
            Self::CatalogLanguage => "catalog.language",
            Self::UsageRetention => "usage.retention_months",
            Self::StorageLimit => "storage.max_mib",
            Self::MachineNames => "installs.machine_names",
        }
    }

    /// What the setting does, with its values.
    #[must_use]
    pub const fn help(self) -> &'static str {
        match self {
            Self::ReviewPolicy => {
                "`none`: versions are published at once. `required`: after another user approved them"
            }
            Self::ReviewAssistants => {
                "`ignored`: only a person's approval publishes. `counted`: an assistant's approval too"
            }
            Self::PublishUsers => "`everyone`, or the email addresses of those who may publish, with commas",
            Self::ScannerThreshold => {
                "findings of this severity quarantine a version: medium, high or critical; or `off`"
            }
            Self::ScannerBaseline => "fingerprints of findings to ignore, with commas; or `empty`",
            Self::DefaultAssistant => "the assistant that install_skill assumes, such as `codex`; or `none`",
            Self::CatalogLanguage => "the language of most skills as a BCP 47 tag, such as `en` or `pt-BR`",
            Self::UsageRetention => "months that usage events are kept, 1 to 120; or `forever`",
            Self::MachineNames => "names of the machines with installs: `hashed` or `kept`",
            Self::StorageLimit => "MiB that the files of all skills may take, 1 to 100000000; or `unlimited`",
        }
    }
}

impl std::str::FromStr for SettingKey {
    type Err = SettingError;

    fn from_str(text: &str) -> Result<Self, SettingError> {
        Self::ALL
            .into_iter()
            .find(|key| key.as_str() == text)
            .ok_or_else(|| SettingError::UnknownKey(text.to_owned()))
    }
}

/// Why a setting was not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingError {
    #[error("\"{0}\" is not a setting; `skillkeep settings list` shows them")]
    UnknownKey(String),
    #[error("\"{value}\" is not a value of {}: {}", .key.as_str(), .key.help())]
    Value { key: SettingKey, value: String },
}

/// The settings of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Whether a version is published only after another user approved it.
    pub review_required: bool,
    /// Whether an assistant's approval counts.
    pub assistants_may_approve: bool,
    /// The email addresses of the users who may publish; `None` for everyone with the scope.
    pub publishers: Option<Vec<String>>,
    /// The severity from which findings quarantine a version; `None` for never.
    pub quarantine_at: Option<Severity>,
    /// Fingerprints of findings that are ignored.
    pub scan_baseline: Vec<String>,
    /// The id of the assistant that `install_skill` assumes.
    pub default_assistant: Option<String>,
    /// BCP 47 tag.
    pub language: String,
    /// Months that usage events are kept; `None` for as long as the server keeps them.
    pub retention_months: Option<u32>,
    /// MiB that the files of all skills may take; `None` for no limit.
    pub max_storage_mib: Option<u64>,
    /// Whether the names of machines with installs are stored; otherwise hashes of them.
    pub keeps_machine_names: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            review_required: false,
            assistants_may_approve: false,
            publishers: None,
            quarantine_at: Some(Severity::Critical),
            scan_baseline: Vec::new(),
            default_assistant: None,
            language: "en".to_owned(),
            retention_months: None,
            max_storage_mib: Some(DEFAULT_STORAGE_MIB),
            keeps_machine_names: false,
        }
    }
}

impl Settings {
    /// The value of a setting as the command line shows and accepts it.
    #[must_use]
    pub fn get(&self, key: SettingKey) -> String {
        let list = |items: &[String], none: &str| {
            if items.is_empty() {
                none.to_owned()
            } else {
                items.join(",")
            }
        };
        match key {
            SettingKey::ReviewPolicy => choice(self.review_required, "required", "none"),
            SettingKey::ReviewAssistants => choice(self.assistants_may_approve, "counted", "ignored"),
            SettingKey::PublishUsers => match &self.publishers {
                Some(users) => list(users, "nobody"),
                None => "everyone".to_owned(),
            },
            SettingKey::ScannerThreshold => self
                .quarantine_at
                .map_or_else(|| "off".to_owned(), |severity| severity.to_string()),
            SettingKey::ScannerBaseline => list(&self.scan_baseline, "empty"),
            SettingKey::DefaultAssistant => self
                .default_assistant
                .clone()
                .unwrap_or_else(|| "none".to_owned()),
            SettingKey::CatalogLanguage => self.language.clone(),
            SettingKey::UsageRetention => self
                .retention_months
                .map_or_else(|| "forever".to_owned(), |months| months.to_string()),
            SettingKey::StorageLimit => self
                .max_storage_mib
                .map_or_else(|| "unlimited".to_owned(), |mib| mib.to_string()),
            SettingKey::MachineNames => choice(self.keeps_machine_names, "kept", "hashed"),
        }
    }

    /// Sets a setting from its text.
    ///
    /// # Errors
    /// [`SettingError::Value`] if the text is not one of its values.
    pub fn set(&mut self, key: SettingKey, value: &str) -> Result<(), SettingError> {
        let invalid = || SettingError::Value {
            key,
            value: value.chars().take(100).collect(),
        };
        let value = value.trim();
        match key {
            SettingKey::ReviewPolicy => {
                self.review_required = either(value, "required", "none").ok_or_else(invalid)?;
            }
            SettingKey::ReviewAssistants => {
                self.assistants_may_approve = either(value, "counted", "ignored").ok_or_else(invalid)?;
            }
            SettingKey::PublishUsers => self.publishers = publishers(value).ok_or_else(invalid)?,
            SettingKey::ScannerThreshold => self.quarantine_at = threshold(value).ok_or_else(invalid)?,
            SettingKey::ScannerBaseline => {
                self.scan_baseline = fingerprints(value).ok_or_else(invalid)?;
            }
            SettingKey::DefaultAssistant => {
                let is_id = |text: &str| text.parse::<crate::ids::Slug>().is_ok() && text.len() <= 32;
                self.default_assistant = match value {
                    "none" => None,
                    id if is_id(id) => Some(id.to_owned()),
                    _ => return Err(invalid()),
                };
            }
            SettingKey::CatalogLanguage => {
                if !is_language_tag(value) {
                    return Err(invalid());
                }
                value.clone_into(&mut self.language);
            }
            SettingKey::UsageRetention => {
                self.retention_months = match value {
                    "forever" => None,
                    months => Some(
                        months
                            .parse()
                            .ok()
                            .filter(|months| (1..=120).contains(months))
                            .ok_or_else(invalid)?,
                    ),
                };
            }
            SettingKey::MachineNames => {
                self.keeps_machine_names = either(value, "kept", "hashed").ok_or_else(invalid)?;
            }
            SettingKey::StorageLimit => {
                self.max_storage_mib = match value {
                    "unlimited" => None,
                    mib => Some(
                        mib.parse()
                            .ok()
                            .filter(|mib| (1..=MAX_STORAGE_MIB).contains(mib))
                            .ok_or_else(invalid)?,
                    ),
                };
            }
        }
        Ok(())
    }

    /// Whether a tenant that stores `stored` bytes may store `added` more.
    #[must_use]
    pub const fn allow_storing(&self, stored: u64, added: u64) -> bool {
        match self.max_storage_mib {
            Some(mib) => stored.saturating_add(added) <= mib.saturating_mul(1024 * 1024),
            None => true,
        }
    }

    /// Whether the caller is one of those who may publish. Administrators always are.
    #[must_use]
    pub fn allow_publishing(&self, caller: &Caller) -> bool {
        caller.is_admin()
            || self.publishers.as_ref().is_none_or(|publishers| {
                caller.email.as_ref().is_some_and(|email| {
                    publishers
                        .iter()
                        .any(|allowed| allowed.eq_ignore_ascii_case(email))
                })
            })
    }
}

fn choice(is_first: bool, first: &str, second: &str) -> String {
    if is_first { first } else { second }.to_owned()
}

fn either(value: &str, first: &str, second: &str) -> Option<bool> {
    (value == first || value == second).then(|| value == first)
}

fn items(value: &str) -> Option<Vec<String>> {
    let items: Vec<String> = value
        .split(',')
        .map(|item| item.trim().to_owned())
        .filter(|item| !item.is_empty())
        .collect();
    (!items.is_empty() && items.len() <= MAX_ITEMS).then_some(items)
}

fn publishers(value: &str) -> Option<Option<Vec<String>>> {
    match value {
        "everyone" => Some(None),
        "nobody" => Some(Some(Vec::new())),
        users => {
            let users = items(users)?;
            let all_valid = users
                .iter()
                .all(|user| user.parse::<crate::tenancy::users::Email>().is_ok());
            all_valid.then_some(Some(users))
        }
    }
}

fn threshold(value: &str) -> Option<Option<Severity>> {
    match value {
        "off" => Some(None),
        text => {
            let severity: Severity = text.parse().ok()?;
            (severity >= Severity::Medium).then_some(Some(severity))
        }
    }
}

fn fingerprints(value: &str) -> Option<Vec<String>> {
    if value == "empty" {
        return Some(Vec::new());
    }
    let is_fingerprint =
        |text: &String| text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    items(value).filter(|items| items.iter().all(is_fingerprint))
}

/// A language with optional subtags (RFC 5646, section 2.1), without checking the registry.
fn is_language_tag(value: &str) -> bool {
    let mut parts = value.split('-');
    let language = parts.next().unwrap_or_default();
    (2..=8).contains(&language.len())
        && language.bytes().all(|byte| byte.is_ascii_alphabetic())
        && value.len() <= 35
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// The settings of the transaction's tenant.
///
/// # Errors
/// [`DbError::Corrupt`] for a stored value that this version of the program does not accept.
pub async fn load(tx: &TenantTx) -> Result<Settings, DbError> {
    let rows = tx
        .query(sql!("settings/list.sql"), &[tx.tenant().as_uuid()])
        .await?;
    let mut settings = Settings::default();
    for row in &rows {
        let (key, value): (String, Value) = (row.try_get("key")?, row.try_get("value")?);
        // A later version may have stored a setting that this one does not know.
        let Ok(key) = key.parse::<SettingKey>() else {
            continue;
        };
        settings
            .set(key, value.as_str().unwrap_or_default())
            .map_err(|error| DbError::Corrupt(error.to_string()))?;
    }
    Ok(settings)
}

/// Stores one setting, or removes its row if it is the default. Call
/// [`administration::settings::set`](super::administration::settings::set), which also writes the audit entry.
pub(super) async fn store(tx: &TenantTx, key: SettingKey, settings: &Settings) -> Result<(), DbError> {
    let (tenant, name, value) = (tx.tenant(), key.as_str(), settings.get(key));
    if value == Settings::default().get(key) {
        tx.execute(sql!("settings/reset.sql"), &[tenant.as_uuid(), &name])
            .await?;
        return Ok(());
    }
    tx.execute_one(
        sql!("settings/set.sql"),
        &[tenant.as_uuid(), &name, &json!(value)],
    )
    .await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_setting_round_trips_and_rejects_nonsense() {
        let values = [
            (SettingKey::ReviewPolicy, "required"),
            (SettingKey::ReviewAssistants, "counted"),
            (SettingKey::PublishUsers, "ada@example.com,bob@example.com"),
            (SettingKey::PublishUsers, "nobody"),
            (SettingKey::ScannerThreshold, "high"),
            (SettingKey::ScannerThreshold, "off"),
            (SettingKey::ScannerBaseline, "0123456789abcdef0123456789abcdef"),
            (SettingKey::DefaultAssistant, "claude-code"),
            (SettingKey::CatalogLanguage, "pt-BR"),
            (SettingKey::UsageRetention, "12"),
            (SettingKey::StorageLimit, "1"),
            (SettingKey::StorageLimit, "unlimited"),
            (SettingKey::MachineNames, "kept"),
        ];
        for (key, value) in values {
            let mut settings = Settings::default();
            assert_ne!(settings.get(key), value);
            settings.set(key, value).unwrap();
            assert_eq!(settings.get(key), value);
            assert_eq!(key.as_str().parse(), Ok(key));
            let default = Settings::default().get(key);
            settings.set(key, &default).unwrap();
            assert_eq!(settings, Settings::default(), "{value}");
            let nonsense = "!?";
            assert!(matches!(
                settings.set(key, nonsense),
                Err(SettingError::Value { .. })
            ));
        }
        for key in SettingKey::ALL {
            assert!(
                values.iter().any(|(tested, _)| *tested == key),
                "{}",
                key.as_str()
            );
        }
    }
}
