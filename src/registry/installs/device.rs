//! Where an install is: the machine, and what is on its disk now.

use ring::hmac;

use crate::db::{DbError, TenantTx};
use crate::ids::{InstallId, UserId};
use crate::registry::settings::Settings;
use crate::sql;
use crate::tenancy::CursorSecret;

/// What a machine has of an install.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DeviceState {
    /// As published, and used.
    Live,
    /// As published, and a newer version should be there.
    Stale,
    /// Another folder of the same name is used instead.
    Shadowed,
    /// The files were changed.
    Drifted,
    /// No longer on disk.
    Removed,
}

impl DeviceState {
    pub const ALL: [Self; 5] = [
        Self::Live,
        Self::Stale,
        Self::Shadowed,
        Self::Drifted,
        Self::Removed,
    ];

    /// The value in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Live => "live",
            Self::Stale => "stale",
            Self::Shadowed => "shadowed",
            Self::Drifted => "drifted",
            Self::Removed => "removed",
        }
    }
}

impl std::str::FromStr for DeviceState {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::ALL
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or_else(|| format!("\"{text}\" is not a state of an install"))
    }
}

/// A machine, as it is stored: its name, or by default an HMAC of it with the tenant's secret. Equal machines can then be
/// counted, and nobody without the secret can guess the name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    bytes: Vec<u8>,
    is_name: bool,
}

impl Machine {
    /// Maximum length of a name in bytes.
    pub const MAX_NAME_BYTES: usize = 255;

    /// The machine with this name. `None` if the name is empty, too long or has control characters.
    #[must_use]
    pub fn new(name: &str, settings: &Settings, secret: &CursorSecret) -> Option<Self> {
        let name = name.trim();
        if name.is_empty() || name.len() > Self::MAX_NAME_BYTES || name.contains(char::is_control) {
            return None;
        }
        if settings.keeps_machine_names {
            let bytes = name.as_bytes().to_vec();
            return Some(Self { bytes, is_name: true });
        }
        let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes());
        // The prefix separates it from cursors and search texts, which are signed with the same secret.
        let sum = hmac::sign(&key, format!("machine:{}", name.to_lowercase()).as_bytes());
        Some(Self {
            bytes: sum.as_ref().to_vec(),
            is_name: false,
        })
    }
}

/// Stores what a machine has of an install of this user. Without a machine, the one before is kept. Returns `false` if the
/// user has no such install.
pub async fn seen(
    tx: &TenantTx,
    id: InstallId,
    user: UserId,
    machine: Option<&Machine>,
    state: DeviceState,
) -> Result<bool, DbError> {
    let bytes = machine.map(|machine| machine.bytes.as_slice());
    let is_name = machine.is_some_and(|machine| machine.is_name);
    let changed = tx
        .execute(
            sql!("installs/seen.sql"),
            &[
                tx.tenant().as_uuid(),
                id.as_uuid(),
                user.as_uuid(),
                &bytes,
                &is_name,
                &state.as_str(),
            ],
        )
        .await?;
    Ok(changed == 1)
}

/// Removes the names of machines, for a tenant that no longer keeps them.
pub(in crate::registry) async fn forget_machines(tx: &TenantTx) -> Result<(), DbError> {
    tx.execute(sql!("installs/forget_machines.sql"), &[tx.tenant().as_uuid()])
        .await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> CursorSecret {
        CursorSecret::from_bytes(&[byte; 32])
    }

    #[test]
    fn name_is_hashed_with_the_tenants_secret_unless_the_tenant_keeps_it() {
        let hashed = Settings::default();
        let kept = Settings {
            keeps_machine_names: true,
            ..Settings::default()
        };
        let machine =
            |name: &str, settings: &Settings, byte| Machine::new(name, settings, &secret(byte)).unwrap();
        let laptop = machine("Adas-Laptop", &hashed, 1);
        assert_eq!(laptop, machine(" adas-laptop ", &hashed, 1));
        assert_ne!(laptop, machine("adas-laptop", &hashed, 2));
        assert_ne!(laptop, machine("bobs-laptop", &hashed, 1));
        assert!(laptop.bytes.len() == 32 && !laptop.is_name);
        assert_eq!(machine("Adas-Laptop", &kept, 1).bytes, b"Adas-Laptop");
    }

    #[test]
    fn name_that_cannot_be_shown_is_no_machine() {
        for name in ["", "  ", "a\nb", "a\0", &"x".repeat(256)] {
            assert_eq!(Machine::new(name, &Settings::default(), &secret(1)), None);
        }
    }
}
