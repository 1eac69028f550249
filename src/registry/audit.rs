//! The audit log of a tenant: an append-only hash chain. The database computes the hashes; this module recomputes them.

mod cef;
mod chain;
mod checkpoint;

pub use cef::cef;
pub use chain::{Chain, ChainBreak, ChainedEntry, check_lines};
pub use checkpoint::{CheckpointError, SignedCheckpoint, SigningKey};

use std::borrow::Cow;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;

use crate::db::{DbError, Param, ServerDb, Sql, TenantTx};
use crate::ids::{AuditId, TenantId};
use crate::sql;
use crate::tenancy::mask_keys;

/// Who performed an action.
#[derive(Debug, Clone)]
pub enum Actor {
    /// An administrator at the command line, by the name of their operating system account.
    Admin(String),
    /// An API key, by its id.
    Key(String),
    /// Anything else, for example the owner of an unknown API key.
    System(String),
}

impl Actor {
    fn kind(&self) -> &'static str {
        match self {
            Self::Admin(_) => "admin",
            Self::Key(_) => "key",
            Self::System(_) => "system",
        }
    }

    /// The account name or the API key's id.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Admin(name) | Self::Key(name) | Self::System(name) => name,
        }
    }
}

/// An audit entry to be written.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    pub actor: &'a Actor,
    /// `noun.verb`, for example `key.create`.
    pub action: &'a str,
    /// What the action changed: a slug or an id.
    pub subject: &'a str,
    /// State before and after. Never a secret; never names or addresses of people, since the log outlives their erasure.
    pub details: Value,
    /// `cli`, or a transport with the client's network address.
    pub source: &'a str,
}

impl Entry<'_> {
    fn row<'p>(
        &'p self,
        sql: Sql,
        tenant: &'p TenantId,
        id: &'p AuditId,
        actor: &'p (&'static str, &'p str),
    ) -> [Param<'p>; 8] {
        sql.row([
            ("tenant_id", tenant.as_uuid()),
            ("id", id.as_uuid()),
            ("actor_kind", &actor.0),
            ("actor", &actor.1),
            ("action", &self.action),
            ("subject", &self.subject),
            ("details", &self.details),
            ("source", &self.source),
        ])
    }
}

/// The entry without API keys in its details, which repeat reasons that callers wrote.
fn without_keys<'a>(entry: &Entry<'a>) -> Entry<'a> {
    let mut entry = entry.clone();
    let text = entry.details.to_string();
    // Letters and digits are replaced with the same and parentheses, so the text stays JSON.
    if let Cow::Owned(masked) = mask_keys(&text) {
        entry.details = serde_json::from_str(&masked).unwrap_or(Value::Null);
    }
    entry
}

/// Writes an entry in the transaction of the action, so that both are committed or neither is.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn write(tx: &TenantTx, entry: &Entry<'_>) -> Result<(), DbError> {
    let (id, actor) = (AuditId::new(), (entry.actor.kind(), entry.actor.name()));
    let tenant = tx.tenant();
    let entry = &without_keys(entry);
    let sql = sql!("audit/insert.sql");
    tx.execute_one(sql, &entry.row(sql, &tenant, &id, &actor)).await
}

/// Writes an entry in its own transaction, for a denied request. Writes nothing if the tenant was erased: the certificate of
/// erasure stays the last entry.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn write_alone(db: &ServerDb, tenant: TenantId, entry: &Entry<'_>) -> Result<(), DbError> {
    let (id, actor) = (AuditId::new(), (entry.actor.kind(), entry.actor.name()));
    let entry = &without_keys(entry);
    let sql = sql!("audit/insert_denial.sql");
    let row = entry.row(sql, &tenant, &id, &actor);
    let (tx, _no_rows) = TenantTx::begin(db, tenant, sql, &row).await?;
    tx.commit().await
}

/// A stored audit entry, as `skillkeep audit tail` shows it. See [`Entry`].
#[derive(Debug, Clone, Serialize)]
pub struct StoredEntry {
    /// Position in the tenant's log, from 1.
    pub seq: i64,
    /// Time of the insert, by the database's clock.
    pub created_at: Timestamp,
    /// See [`Actor`].
    pub actor_kind: String,
    pub actor: String,
    pub action: String,
    pub subject: String,
    /// A string with the stored text if serde_json cannot parse it.
    pub details: Value,
    pub source: String,
}

fn parse_or_text(details: String) -> Value {
    chain::parse_details(&details).unwrap_or(Value::String(details))
}

/// The newest entries, newest first.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn tail(tx: &TenantTx, count: i64) -> Result<Vec<StoredEntry>, DbError> {
    let rows = tx
        .query(sql!("audit/tail.sql"), &[tx.tenant().as_uuid(), &count])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(StoredEntry {
                seq: row.try_get("seq")?,
                created_at: row.try_get("created_at")?,
                actor_kind: row.try_get("actor_kind")?,
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                subject: row.try_get("subject")?,
                details: parse_or_text(row.try_get("details_text")?),
                source: row.try_get("source")?,
            })
        })
        .collect()
}

/// Result of recomputing a tenant's hash chain.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Number of entries with a correct hash.
    pub entries: i64,
    /// `seq` of the first entry that does not follow from the previous one.
    pub broken_at: Option<i64>,
    /// Hash of the last correct entry, in hexadecimal.
    pub last_hash: String,
    /// Action of the first entry; `None` for an empty log.
    pub first_action: Option<String>,
    /// Whether the log contains the certificate of the tenant's erasure.
    pub has_erasure_certificate: bool,
    /// `seq` of the entries with a correct hash whose details serde_json cannot parse.
    pub unreadable: Vec<i64>,
}

/// Recomputes the tenant's hash chain from its first entry.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn verify(tx: &TenantTx) -> Result<Verification, DbError> {
    let mut chain = Chain::new(tx.tenant());
    let chain_break = for_each_entry(tx, &mut chain, |_| Ok(())).await?;
    Ok(Verification {
        entries: chain.entries(),
        broken_at: chain_break.map(|ChainBreak { at }| at),
        last_hash: chain.last_hash(),
        first_action: chain.first_action().map(str::to_owned),
        has_erasure_certificate: chain.has_erasure_certificate(),
        unreadable: chain.unreadable().to_vec(),
    })
}

/// Appends every entry of the log to `chain` and passes it to `each`, in order, up to the first chain break.
///
/// # Errors
/// When the database is unavailable or rejects the statement, or with the error of `each`.
pub async fn for_each_entry(
    tx: &TenantTx,
    chain: &mut Chain,
    mut each: impl FnMut(&ChainedEntry) -> Result<(), DbError>,
) -> Result<Option<ChainBreak>, DbError> {
    const BATCH_SIZE: i64 = 5_000;
    // From the lowest possible number, so that an entry inserted before the first one is detected.
    let mut from = i64::MIN;
    loop {
        let rows = tx
            .query(
                sql!("audit/chain.sql"),
                &[tx.tenant().as_uuid(), &from, &BATCH_SIZE],
            )
            .await?;
        if rows.is_empty() {
            return Ok(None);
        }
        for row in &rows {
            let entry = chained_entry(tx.tenant(), row)?;
            if let Err(chain_break) = chain.append(&entry) {
                return Ok(Some(chain_break));
            }
            each(&entry)?;
        }
        from = chain.entries().saturating_add(1);
    }
}

/// The hash of the entry with this `seq`, in hexadecimal; `None` if there is no such entry.
///
/// # Errors
/// When the database is unavailable or rejects the statement.
pub async fn hash_at(tx: &TenantTx, seq: i64) -> Result<Option<String>, DbError> {
    let rows = tx
        .query(sql!("audit/chain.sql"), &[tx.tenant().as_uuid(), &seq, &1_i64])
        .await?;
    let found = rows
        .first()
        .map(|row| chained_entry(tx.tenant(), row))
        .transpose()?;
    Ok(found.filter(|entry| entry.seq == seq).map(|entry| entry.hash))
}

fn chained_entry(tenant: TenantId, row: &Row) -> Result<ChainedEntry, DbError> {
    let details: String = row.try_get("details_text")?;
    Ok(ChainedEntry {
        tenant_id: tenant,
        seq: row.try_get("seq")?,
        id: row.try_get("id")?,
        created_us: row.try_get("created_us")?,
        actor_kind: row.try_get("actor_kind")?,
        actor: row.try_get("actor")?,
        action: row.try_get("action")?,
        subject: row.try_get("subject")?,
        details: chain::parse_details(&details).unwrap_or(Value::Null),
        details_text: details,
        source: row.try_get("source")?,
        prev_hash: chain::hex(row.try_get("prev_hash")?),
        hash: chain::hex(row.try_get("hash")?),
    })
}
