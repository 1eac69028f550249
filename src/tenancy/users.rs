//! Users: the people and service accounts of a tenant.
//!
//! The functions here change rows and write no audit entry. Commands use [`crate::registry::administration`], which does both.

use jiff::Timestamp;
use serde::Serialize;

use super::tenants::Status;
use crate::db::{DbError, TenantTx};
use crate::ids::UserId;
use crate::shown_text::is_unsafe;
use crate::sql;

/// The email address that identifies a user, in lower case. Only its shape is checked: skillkeep sends no mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::str::FromStr for Email {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let email = text.trim().to_lowercase();
        let well_formed = email.len() <= 254
            && !email.chars().any(|c| c.is_whitespace() || is_unsafe(c))
            && email.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            });
        if well_formed {
            Ok(Self(email))
        } else {
            Err("expected an email address such as name@example.com, at most 254 characters".to_owned())
        }
    }
}

/// A user, as `skillkeep user list` shows it.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    pub id: UserId,
    pub email: String,
    /// May be empty.
    pub name: String,
    /// `active` or `suspended`.
    pub status: String,
    pub created_at: Timestamp,
    /// Number of API keys that are neither revoked nor expired.
    pub active_keys: i64,
}

/// Result of [`find_or_create`].
#[derive(Debug, Clone, Copy)]
pub struct UpsertedUser {
    pub id: UserId,
    /// Whether this call created the user.
    pub created: bool,
    /// `false` for a suspended user.
    pub active: bool,
}

/// Finds the user with this address or creates one.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn find_or_create(tx: &TenantTx, email: &Email, name: &str) -> Result<UpsertedUser, DbError> {
    let new_id = UserId::new();
    let row = tx
        .query_one(
            sql!("users/upsert.sql"),
            &[tx.tenant().as_uuid(), new_id.as_uuid(), &email.as_str(), &name],
        )
        .await?;
    Ok(UpsertedUser {
        id: UserId::from_uuid(row.try_get("id")?),
        created: row.try_get("created")?,
        active: row.try_get::<_, &str>("status")? == Status::Active.as_str(),
    })
}

/// The tenant's users, sorted by address.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn list(tx: &TenantTx) -> Result<Vec<User>, DbError> {
    let rows = tx.query(sql!("users/list.sql"), &[tx.tenant().as_uuid()]).await?;
    rows.iter()
        .map(|row| {
            Ok(User {
                id: UserId::from_uuid(row.try_get("id")?),
                email: row.try_get("email")?,
                name: row.try_get("name")?,
                status: row.try_get("status")?,
                created_at: row.try_get("created_at")?,
                active_keys: row.try_get("active_keys")?,
            })
        })
        .collect()
}

/// The active user with this address.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn find_active(tx: &TenantTx, email: &Email) -> Result<Option<UserId>, DbError> {
    let row = tx
        .query_opt(
            sql!("users/find_active.sql"),
            &[tx.tenant().as_uuid(), &email.as_str()],
        )
        .await?;
    row.map(|row| Ok(UserId::from_uuid(row.try_get("id")?)))
        .transpose()
}

/// Suspends or resumes a user. Returns `false` if there is no such user or the status did not change.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn set_status(tx: &TenantTx, email: &Email, status: Status) -> Result<bool, DbError> {
    let changed = tx
        .execute(
            sql!("users/set_status.sql"),
            &[tx.tenant().as_uuid(), &email.as_str(), &status.as_str()],
        )
        .await?;
    Ok(changed == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn email_is_stored_in_lower_case() {
        assert_eq!(
            "Ada@Example.COM".parse::<Email>().unwrap().as_str(),
            "ada@example.com"
        );
    }

    #[test]
    fn malformed_email_is_rejected() {
        for text in [
            "",
            "ada",
            "@example.com",
            "ada@",
            "a@b@c",
            "a b@example.com",
            "ada@exam\u{0}ple.com",
        ] {
            assert!(text.parse::<Email>().is_err(), "{text:?}");
        }
    }
}
