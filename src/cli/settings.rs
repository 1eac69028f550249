//! `skillkeep settings`: read and change the settings of a tenant.

use clap::Subcommand;
use serde_json::{Map, json};

use super::database::{self, Database, db_failure};
use super::output;
use super::tenant_arg::TenantArg;
use crate::config::Config;
use crate::db::TenantTx;
use crate::error::{CliError, CliErrorKind};
use crate::registry::administration::settings::{self as administration, ChangeError};
use crate::registry::settings::{self, SettingError, SettingKey};

#[derive(Debug, Subcommand)]
pub(super) enum SettingsCommand {
    /// List every setting with its value and meaning
    List {
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Print one setting
    Get {
        /// The setting, such as review.policy
        key: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
    /// Change one setting
    ///
    /// Example: skillkeep settings set review.policy required
    Set {
        /// The setting, such as review.policy
        key: String,
        /// The new value; `skillkeep settings list` shows the choices
        value: String,
        #[command(flatten)]
        tenant: TenantArg,
    },
}

impl SettingsCommand {
    fn tenant(&self) -> &str {
        match self {
            Self::List { tenant } | Self::Get { tenant, .. } | Self::Set { tenant, .. } => &tenant.slug,
        }
    }
}

pub(super) async fn run(config: &Config, command: SettingsCommand) -> Result<(), CliError> {
    Database::with_admin(config, async |db| {
        let tx = database::tenant_tx(db, command.tenant()).await?;
        match command {
            SettingsCommand::List { .. } => list(config, &tx).await,
            SettingsCommand::Get { key, .. } => {
                let key = parse(&key)?;
                let settings = settings::load(&tx).await.map_err(db_failure)?;
                print(config, key, &settings.get(key))
            }
            SettingsCommand::Set { key, value, .. } => set(config, tx, parse(&key)?, &value).await,
        }
    })
    .await
}

fn parse(key: &str) -> Result<SettingKey, CliError> {
    key.parse().map_err(|error| setting_failure(&error))
}

fn setting_failure(error: &SettingError) -> CliError {
    CliError::new(CliErrorKind::Usage, error.to_string())
}

async fn list(config: &Config, tx: &TenantTx) -> Result<(), CliError> {
    let settings = settings::load(tx).await.map_err(db_failure)?;
    if config.json {
        let values: Map<_, _> = SettingKey::ALL
            .into_iter()
            .map(|key| (key.as_str().to_owned(), json!(settings.get(key))))
            .collect();
        return output::json(&values);
    }
    let rows = SettingKey::ALL
        .into_iter()
        .map(|key| vec![key.as_str().to_owned(), settings.get(key), key.help().to_owned()])
        .collect();
    output::table(&["setting", "value", "meaning"], rows, "")
}

fn print(config: &Config, key: SettingKey, value: &str) -> Result<(), CliError> {
    if config.json {
        return output::json(&json!({"setting": key.as_str(), "value": value}));
    }
    output::line(value)
}

async fn set(config: &Config, tx: TenantTx, key: SettingKey, value: &str) -> Result<(), CliError> {
    let changed = administration::set(&tx, &database::operator(), key, value).await;
    let settings = changed.map_err(|error| match error {
        ChangeError::Setting(error) => setting_failure(&error),
        ChangeError::Db(error) => db_failure(error),
    })?;
    tx.commit().await.map_err(db_failure)?;
    let value = settings.get(key);
    if config.json {
        return print(config, key, &value);
    }
    output::line(&format!("{} is now {value}.", key.as_str()))
}
