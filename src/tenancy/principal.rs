//! From a key to the principal behind it, in the very transaction in which the principal then works.

use jiff::Timestamp;
use tokio_postgres::Row;

use super::{ApiKey, Scopes};
use crate::db::{DbError, ServerDb, TenantTx};
use crate::ids::{ApiKeyId, TenantId, UserId};
use crate::sql;

/// A tenant's secret for signing cursors: 32 bytes. Its `Debug` hides them.
#[derive(Clone)]
pub struct CursorSecret(Box<[u8]>);

impl CursorSecret {
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
    /// How often the tenant's skills have changed, as of this transaction.
    pub catalogue_revision: i64,
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
            catalogue_revision: row.try_get("catalogue_revision")?,
            cursor_secret: CursorSecret(row.try_get::<_, &[u8]>("cursor_secret")?.into()),
        })
    }

    /// Whether the key may see this skill at all.
    #[must_use]
    pub fn may_see(&self, slug: &str) -> bool {
        self.only_skills
            .as_ref()
            .is_none_or(|only| only.iter().any(|allowed| allowed == slug))
    }

    /// Whether the key is limited to tools and this is none of them.
    #[must_use]
    pub fn may_call(&self, tool: &str) -> bool {
        self.only_tools
            .as_ref()
            .is_none_or(|only| only.iter().any(|allowed| allowed == tool))
    }
}

/// Why there is no principal.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// The key is unknown, revoked or expired, or its user or tenant is suspended: one answer for all of these, so that
    /// it tells a stranger nothing.
    #[error(
        "the API key is not valid: it is unknown, revoked or expired, or its tenant is suspended; ask your administrator for a new one"
    )]
    Invalid,
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
        sql!("keys/authenticate.sql"),
        &[tenant.as_uuid(), &hash.as_bytes().as_slice()],
    )
    .await?;
    match rows.first() {
        Some(row) => {
            let principal = Principal::from_row(tenant, row)?;
            Ok((tx, principal))
        }
        None => {
            tx.roll_back().await?;
            Err(AuthError::Invalid)
        }
    }
}
