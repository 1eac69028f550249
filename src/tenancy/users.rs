//! The people and service accounts of a tenant.

use jiff::Timestamp;
use serde::Serialize;

use super::tenants::Status;
use crate::db::{DbError, TenantTx};
use crate::ids::UserId;
use crate::sql;

/// An address that a user is known by, in small letters. Not checked beyond its shape: nothing is sent to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Email(String);

impl Email {
    /// The address.
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
            && !email.chars().any(|c| c.is_whitespace() || c.is_control())
            && email.split_once('@').is_some_and(|(local, domain)| {
                !local.is_empty() && !domain.is_empty() && !domain.contains('@')
            });
        if well_formed {
            Ok(Self(email))
        } else {
            Err("an email address looks like name@example.com, with 254 characters at most".to_owned())
        }
    }
}

/// A user as the operator sees him.
#[derive(Debug, Clone, Serialize)]
pub struct User {
    /// His id.
    pub id: UserId,
    /// His address.
    pub email: String,
    /// His name, possibly empty.
    pub name: String,
    /// `active` or `suspended`.
    pub status: String,
    /// When he was made.
    pub created_at: Timestamp,
    /// How many of his keys work.
    pub active_keys: i64,
}

/// A user who was looked up, or made.
#[derive(Debug, Clone, Copy)]
pub struct UpsertedUser {
    /// His id.
    pub id: UserId,
    /// Whether he was made just now.
    pub created: bool,
    /// Whether he may work.
    pub active: bool,
}

/// The user with this address, made if there is none.
///
/// # Errors
/// When the database is away or refuses.
pub async fn find_or_create(tx: &TenantTx, email: &Email, name: &str) -> Result<UpsertedUser, DbError> {
    let fresh = UserId::new();
    let row = tx
        .query_one(
            sql!("users/upsert.sql"),
            &[tx.tenant().as_uuid(), fresh.as_uuid(), &email.as_str(), &name],
        )
        .await?;
    Ok(UpsertedUser {
        id: UserId::from_uuid(row.try_get("id")?),
        created: row.try_get("created")?,
        active: row.try_get::<_, &str>("status")? == Status::Active.as_str(),
    })
}

/// The tenant's users, by address.
///
/// # Errors
/// When the database is away or refuses.
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

/// Suspends a user or lets him work again; `false` where there is no such user, or he already was so.
///
/// # Errors
/// When the database is away or refuses.
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
    fn an_address_is_kept_in_small_letters() {
        assert_eq!(
            "Ada@Example.COM".parse::<Email>().unwrap().as_str(),
            "ada@example.com"
        );
    }

    #[test]
    fn what_is_no_address_is_refused() {
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
