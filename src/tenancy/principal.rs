//! Authentication: resolves an API key to its principal, in the transaction in which the request then runs.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{ApiKey, CallLimits, KeyKind, Scopes};
use crate::db::{DbError, ServerDb, TenantTx};
use crate::ids::{ApiKeyId, TenantId, UserId};
use crate::sql;

/// A tenant's secret for signing pagination cursors: 32 bytes. `Debug` hides them.
#[derive(Clone)]
pub struct CursorSecret(Box<[u8]>);

impl CursorSecret {
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Self {
        Self(bytes.into())
    }

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

/// What the usage event of a search stores of the search text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum SearchText {
    /// The whole text.
    Kept,
    /// An HMAC with a secret of the tenant: equal searches can be counted but not read.
    Hashed,
    /// Nothing.
    Off,
}

impl SearchText {
    /// The spelling in the database and on the command line.
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
            .ok_or_else(|| format!("\"{text}\" is not one of kept, hashed and off"))
    }
}

/// The authenticated caller: an API key with its user and tenant, as of the current transaction.
#[derive(Debug, Clone)]
pub struct Principal {
    pub tenant: TenantId,
    pub tenant_slug: String,
    pub tenant_name: String,
    pub api_key: ApiKeyId,
    pub api_key_name: String,
    /// When the key expires; `None` for never.
    pub expires_at: Option<Timestamp>,
    /// The owner of the key.
    pub user: UserId,
    /// The owner's email address.
    pub email: String,
    pub scopes: Scopes,
    /// The only skills that the key can see, by slug; `None` for all.
    pub only_skills: Option<Vec<String>>,
    /// The only tools that the key can call; `None` for all.
    pub only_tools: Option<Vec<String>>,
    /// Limits of this key.
    pub api_key_limits: CallLimits,
    /// Limits of all keys of the tenant together.
    pub tenant_limits: CallLimits,
    pub search_text: SearchText,
    /// Number of changes of the tenant's catalog so far.
    pub catalog_revision: i64,
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
            api_key_limits: CallLimits::from_row(row, "key_per_minute", "key_per_month")?,
            tenant_limits: CallLimits::from_row(row, "tenant_per_minute", "tenant_per_month")?,
            search_text: row
                .try_get::<_, &str>("search_text")?
                .parse()
                .map_err(DbError::Corrupt)?,
            catalog_revision: row.try_get("catalog_revision")?,
            cursor_secret: CursorSecret::from_bytes(row.try_get("cursor_secret")?),
        })
    }

    /// Whether the key's `only_skills` permits the skill.
    #[must_use]
    pub fn can_view_skill(&self, slug: &str) -> bool {
        self.only_skills
            .as_ref()
            .is_none_or(|only| only.iter().any(|allowed| allowed == slug))
    }

    /// Whether the key's `only_tools` permits the tool. Scopes are checked separately.
    #[must_use]
    pub fn can_call_tool(&self, tool: &str) -> bool {
        self.only_tools
            .as_ref()
            .is_none_or(|only| only.iter().any(|allowed| allowed == tool))
    }
}

/// Why an API key was rejected. For the audit log only: callers get the same message for every reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyRejectionReason {
    /// The claimed tenant does not exist or was erased; an erased tenant's audit log gets no further entries.
    UnknownTenant,
    UnknownKey,
    /// The key was revoked, or the grace period after its rotation is over.
    Revoked,
    Expired,
    UserSuspended,
    TenantSuspended,
}

impl KeyRejectionReason {
    /// The spelling in the audit log.
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

/// A rejected API key, for the audit log of the claimed tenant.
#[derive(Debug, Clone, Copy)]
pub struct RejectedKey {
    /// The tenant that the key claims.
    pub tenant: TenantId,
    /// The id of the key, if the tenant has it.
    pub api_key: Option<ApiKeyId>,
    pub why: KeyRejectionReason,
}

/// Why authentication failed.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The key was rejected. The message is the same for every [`KeyRejectionReason`], so that an unauthenticated caller
    /// learns nothing about keys and tenants.
    #[error(
        "the API key is not valid: it is unknown, revoked or expired, or its tenant is suspended; ask your administrator for a new one"
    )]
    Invalid(RejectedKey),
    #[error(transparent)]
    Db(#[from] DbError),
}

/// Begins the caller's transaction and authenticates the key in it, in one round trip.
///
/// # Errors
/// [`AuthError::Invalid`] if the key is rejected; the transaction is then rolled back.
pub async fn authenticate(db: &ServerDb, key: &ApiKey) -> Result<(TenantTx, Principal), AuthError> {
    let tenant = key.claimed_tenant();
    let hash = key.hash();
    let statement = match key.kind() {
        KeyKind::Header => sql!("api_keys/authenticate.sql"),
        KeyKind::SecretPath => sql!("secret_paths/authenticate.sql"),
    };
    let (tx, rows) = TenantTx::begin(
        db,
        tenant,
        statement,
        &[tenant.as_uuid(), &hash.as_bytes().as_slice()],
    )
    .await?;
    match rows.first() {
        Some(row) => {
            let principal = Principal::from_row(tenant, row)?;
            Ok((tx, principal))
        }
        None => {
            let rejected = rejected_key(&tx, key).await?;
            tx.rollback().await?;
            Err(AuthError::Invalid(rejected))
        }
    }
}

/// Determines why authentication failed. Runs the same statement for existing and unknown tenants, so that the response
/// time does not reveal which tenants exist.
async fn rejected_key(tx: &TenantTx, key: &ApiKey) -> Result<RejectedKey, DbError> {
    let tenant = tx.tenant();
    let statement = match key.kind() {
        KeyKind::Header => sql!("api_keys/rejection_reason.sql"),
        KeyKind::SecretPath => sql!("secret_paths/rejection_reason.sql"),
    };
    let row = tx
        .query_opt(statement, &[tenant.as_uuid(), &key.hash().as_bytes().as_slice()])
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

    /// A principal with every scope and no limits.
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
            api_key_limits: CallLimits::default(),
            tenant_limits: CallLimits::default(),
            search_text: SearchText::Kept,
            catalog_revision: 0,
            cursor_secret: CursorSecret::from_bytes(&[0; 32]),
        }
    }

    #[test]
    fn search_text_setting_round_trips() {
        for choice in [SearchText::Kept, SearchText::Hashed, SearchText::Off] {
            assert_eq!(choice.as_str().parse(), Ok(choice));
        }
        assert!("all".parse::<SearchText>().is_err());
    }
}
