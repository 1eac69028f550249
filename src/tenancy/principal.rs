//! From a key to the principal behind it, in the very transaction in which the principal then works.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{ApiKey, CallLimits, Scopes};
use crate::db::{DbError, ServerDb, TenantTx};
use crate::ids::{ApiKeyId, TenantId, UserId};
use crate::sql;

/// A tenant's secret for signing cursors: 32 bytes. Its `Debug` hides them.
#[derive(Clone)]
pub struct CursorSecret(Box<[u8]>);

impl CursorSecret {
    /// A secret of these bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for CursorSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("CursorSecret(hidden)")
    }
}

/// What the record of a search keeps of the text that was searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchText {
    /// All of it.
    Kept,
    /// A hash with a secret of the tenant's, so that the same searches can be counted and none be read.
    Hashed,
    /// Nothing.
    Off,
}

impl SearchText {
    /// As the database and the command line spell it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Hashed => "hashed",
            Self::Off => "off",
        }
    }
}

impl std::str::FromStr for SearchText {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        [Self::Kept, Self::Hashed, Self::Off]
            .into_iter()
            .find(|choice| choice.as_str() == text)
            .ok_or_else(|| format!("\"{text}\" is neither kept, hashed nor off"))
    }
}

/// Who calls, as the database knows him.
#[derive(Debug, Clone)]
pub struct Principal {
    /// His tenant.
    pub tenant: TenantId,
    /// The tenant's short name.
    pub tenant_slug: String,
    /// The tenant's full name.
    pub tenant_name: String,
    /// The key that he came with.
    pub api_key: ApiKeyId,
    /// The key's name.
    pub api_key_name: String,
    /// When the key ends by itself.
    pub expires_at: Option<Timestamp>,
    /// The user whose key it is.
    pub user: UserId,
    /// The user's address.
    pub email: String,
    /// What the key may do.
    pub scopes: Scopes,
    /// The only skills that the key may see, by slug; `None` for all.
    pub only_skills: Option<Vec<String>>,
    /// The only tools that the key may call; `None` for all.
    pub only_tools: Option<Vec<String>>,
    /// How many calls the key may make.
    pub key_allowance: CallLimits,
    /// How many calls all keys of the tenant together may make.
    pub tenant_allowance: CallLimits,
    /// What the record of a search keeps of its text.
    pub search_text: SearchText,
    /// How often the tenant's skills have changed, as of this transaction.
    pub catalog_revision: i64,
    /// What the tenant's cursors are signed with.
    pub cursor_secret: CursorSecret,
}

impl Principal {
    fn from_row(tenant: TenantId, row: &Row) -> Result<Self, DbError> {
        let scopes: Vec<String> = row.try_get("scopes")?;
        Ok(Self {
            tenant,
            tenant_slug: row.try_get("tenant_slug")?,
            tenant_name: row.try_get("tenant_name")?,
            api_key: ApiKeyId::from_uuid(row.try_get("api_key_id")?),
            api_key_name: row.try_get("api_key_name")?,
            expires_at: row.try_get("expires_at")?,
            user: UserId::from_uuid(row.try_get("user_id")?),
            email: row.try_get("email")?,
            scopes: Scopes::parse(scopes.iter().map(String::as_str))
                .map_err(|error| DbError::Corrupt(error.to_string()))?,
            only_skills: row.try_get("only_skills")?,
            only_tools: row.try_get("only_tools")?,
            key_allowance: CallLimits::from_row(row, "key_per_minute", "key_per_month")?,
            tenant_allowance: CallLimits::from_row(row, "tenant_per_minute", "tenant_per_month")?,
            search_text: row
                .try_get::<_, &str>("search_text")?
                .parse()
                .map_err(DbError::Corrupt)?,
            catalog_revision: row.try_get("catalog_revision")?,
            cursor_secret: CursorSecret::from_bytes(row.try_get("cursor_secret")?),
        })
    }

    /// Whether the key may see this skill at all.
    #[must_use]
    pub fn can_view_skill(&self, slug: &str) -> bool {
        self.only_skills
            .as_ref()
            .is_none_or(|only| only.iter().any(|allowed| allowed == slug))
    }

    /// Whether the key is limited to tools and this is none of them.
    #[must_use]
    pub fn can_call_tool(&self, tool: &str) -> bool {
        self.only_tools
            .as_ref()
            .is_none_or(|only| only.iter().any(|allowed| allowed == tool))
    }
}

/// Why a key does not hold. For the audit log; a caller is never told which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyRejectionReason {
    /// The tenant that the key names does not exist, or was erased: its log has ended.
    UnknownTenant,
    /// The tenant has no such key.
    UnknownKey,
    /// It was revoked, or its grace after a rotation is over.
    Revoked,
    /// It ended by itself.
    Expired,
    /// Its user is suspended.
    UserSuspended,
    /// Its tenant is suspended.
    TenantSuspended,
}

impl KeyRejectionReason {
    /// As the audit log spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnknownTenant => "unknown_tenant",
            Self::UnknownKey => "unknown_key",
            Self::Revoked => "revoked",
            Self::Expired => "expired",
            Self::UserSuspended => "user_suspended",
            Self::TenantSuspended => "tenant_suspended",
        }
    }
}

/// A key that does not hold.
#[derive(Debug, Clone, Copy)]
pub struct RejectedKey {
    /// The tenant that it names.
    pub tenant: TenantId,
    /// Its record, where there is one.
    pub api_key: Option<ApiKeyId>,
    /// Why it does not hold.
    pub why: KeyRejectionReason,
}

/// Why there is no principal.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The key is unknown, revoked or expired, or its user or tenant is suspended: one answer for all of these, so that
    /// it tells a stranger nothing.
    #[error(
        "the API key is not valid: it is unknown, revoked or expired, or its tenant is suspended; ask your administrator for a new one"
    )]
    Invalid(RejectedKey),
    /// The database could not be asked.
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Opens the caller's transaction and checks his key in it, in one flight.
///
/// # Errors
/// [`AuthError::Invalid`] where the key does not hold; nothing was then read or written.
pub async fn authenticate(db: &ServerDb, key: &ApiKey) -> Result<(TenantTx, Principal), AuthError> {
    let tenant = key.claimed_tenant();
    let hash = key.hash();
    let (tx, rows) = TenantTx::begin(
        db,
        tenant,
        sql!("api_keys/authenticate.sql"),
        &[tenant.as_uuid(), &hash.as_bytes().as_slice()],
    )
    .await?;
    match rows.first() {
        Some(row) => {
            let principal = Principal::from_row(tenant, row)?;
            Ok((tx, principal))
        }
        None => {
            let refused = refused(&tx, key).await?;
            tx.roll_back().await?;
            Err(AuthError::Invalid(refused))
        }
    }
}

/// Asks for every key that does not hold, of a tenant that exists or not, the same question.
async fn refused(tx: &TenantTx, key: &ApiKey) -> Result<RejectedKey, DbError> {
    let tenant = tx.tenant();
    let row = tx
        .query_opt(
            sql!("api_keys/rejection_reason.sql"),
            &[tenant.as_uuid(), &key.hash().as_bytes().as_slice()],
        )
        .await?;
    let Some(row) = row else {
        return Ok(RejectedKey {
            tenant,
            api_key: None,
            why: KeyRejectionReason::UnknownTenant,
        });
    };
    let api_key = row
        .try_get::<_, Option<uuid::Uuid>>("api_key_id")?
        .map(ApiKeyId::from_uuid);
    let why = if api_key.is_none() {
        KeyRejectionReason::UnknownKey
    } else if row.try_get("revoked")? {
        KeyRejectionReason::Revoked
    } else if row.try_get("expired")? {
        KeyRejectionReason::Expired
    } else if row.try_get::<_, &str>("tenant_status")? != "active" {
        KeyRejectionReason::TenantSuspended
    } else {
        KeyRejectionReason::UserSuspended
    };
    Ok(RejectedKey { tenant, api_key, why })
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::tenancy::Scope;

    /// Somebody who may do everything.
    pub(in crate::tenancy) fn principal() -> Principal {
        Principal {
            tenant: TenantId::new(),
            tenant_slug: "acme".to_owned(),
            tenant_name: "Acme".to_owned(),
            api_key: ApiKeyId::new(),
            api_key_name: "key".to_owned(),
            expires_at: None,
            user: UserId::new(),
            email: "ada@example.com".to_owned(),
            scopes: Scopes::new(Scope::ALL),
            only_skills: None,
            only_tools: None,
            key_allowance: CallLimits::default(),
            tenant_allowance: CallLimits::default(),
            search_text: SearchText::Kept,
            catalog_revision: 0,
            cursor_secret: CursorSecret::from_bytes(&[0; 32]),
        }
    }

    #[test]
    fn what_is_kept_of_a_search_reads_back() {
        for choice in [SearchText::Kept, SearchText::Hashed, SearchText::Off] {
            assert_eq!(choice.as_str().parse(), Ok(choice));
        }
        assert!("all".parse::<SearchText>().is_err());
    }
}
