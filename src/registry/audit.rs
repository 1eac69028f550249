//! The audit log: written here, chained by the database, recomputed here.

mod cef;
mod chain;
mod checkpoint;

pub use cef::cef;
pub use chain::{Chain, ChainBreak, ChainedEntry, check_lines};
pub use checkpoint::{CheckpointError, SignedCheckpoint, SigningKey};

use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;
use tokio_postgres::Row;

use crate::db::{DbError, Param, ServerDb, TenantTx};
use crate::ids::{AuditId, TenantId};
use crate::sql;

/// Who did something.
#[derive(Debug, Clone)]
pub enum Actor {
    /// A person at the command line, by the name of his account there.
    Operator(String),
    /// A key, by its id.
    Key(String),
    /// Somebody of whom nothing else is known.
    System(String),
}

impl Actor {
    fn kind(&self) -> &'static str {
        match self {
            Self::Operator(_) => "admin",
            Self::Key(_) => "key",
            Self::System(_) => "system",
        }
    }

    /// His name, or the key's id.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Operator(name) | Self::Key(name) | Self::System(name) => name,
        }
    }
}

/// One entry to be written.
#[derive(Debug, Clone)]
pub struct Entry<'a> {
    /// Who did it.
    pub actor: &'a Actor,
    /// What was done, as `noun.verb`.
    pub action: &'a str,
    /// What it was done to.
    pub subject: &'a str,
    /// What else there is to know; never a secret.
    pub details: Value,
    /// Where it was done: `cli`, or a transport.
    pub source: &'a str,
}

impl Entry<'_> {
    fn params<'p>(
        &'p self,
        tenant: &'p TenantId,
        id: &'p AuditId,
        actor: &'p (&'static str, &'p str),
    ) -> [Param<'p>; 8] {
        [
            tenant.as_uuid(),
            id.as_uuid(),
            &actor.0,
            &actor.1,
            &self.action,
            &self.subject,
            &self.details,
            &self.source,
        ]
    }
}

/// Writes an entry in the transaction of the act itself, so that neither is there without the other.
///
/// # Errors
/// When the database is away or refuses.
pub async fn write(tx: &TenantTx, entry: &Entry<'_>) -> Result<(), DbError> {
    let (id, actor) = (AuditId::new(), (entry.actor.kind(), entry.actor.name()));
    let tenant = tx.tenant();
    let params = entry.params(&tenant, &id, &actor);
    tx.execute_one(sql!("audit/insert.sql"), &params).await
}

/// Writes an entry on its own: of something that was refused, and so has no transaction. In the log of a tenant that was erased
/// nothing comes after the certificate.
///
/// # Errors
/// When the database is away or refuses.
pub async fn write_alone(db: &ServerDb, tenant: TenantId, entry: &Entry<'_>) -> Result<(), DbError> {
    let (id, actor) = (AuditId::new(), (entry.actor.kind(), entry.actor.name()));
    let params = entry.params(&tenant, &id, &actor);
    let (tx, _none) = TenantTx::begin(db, tenant, sql!("audit/insert_denial.sql"), &params).await?;
    tx.commit().await
}

/// An entry as it stands in the log.
#[derive(Debug, Clone, Serialize)]
pub struct Recorded {
    /// Its number in the tenant's log.
    pub seq: i64,
    /// When it was written, by the database's clock.
    pub created_at: Timestamp,
    /// `admin`, `key` or `system`.
    pub actor_kind: String,
    /// Who did it.
    pub actor: String,
    /// What was done.
    pub action: String,
    /// What it was done to.
    pub subject: String,
    /// What else there is to know; its bare text where no program can read it.
    pub details: Value,
    /// Where it was done.
    pub source: String,
}

fn readable(details: String) -> Value {
    chain::read_details(&details).unwrap_or(Value::String(details))
}

/// The newest entries, newest first.
///
/// # Errors
/// When the database is away or refuses.
pub async fn tail(tx: &TenantTx, count: i64) -> Result<Vec<Recorded>, DbError> {
    let rows = tx
        .query(sql!("audit/tail.sql"), &[tx.tenant().as_uuid(), &count])
        .await?;
    rows.iter()
        .map(|row| {
            Ok(Recorded {
                seq: row.try_get("seq")?,
                created_at: row.try_get("created_at")?,
                actor_kind: row.try_get("actor_kind")?,
                actor: row.try_get("actor")?,
                action: row.try_get("action")?,
                subject: row.try_get("subject")?,
                details: readable(row.try_get("details_text")?),
                source: row.try_get("source")?,
            })
        })
        .collect()
}

/// What recomputing the chain showed.
#[derive(Debug, Clone, Serialize)]
pub struct Verification {
    /// Entries that were recomputed.
    pub entries: i64,
    /// The number of the first entry that does not follow from the one before it, if any.
    pub broken_at: Option<i64>,
    /// The last good hash, in hexadecimal: what an auditor keeps, to see later that nothing was cut off.
    pub head: String,
    /// What the first entry tells of.
    pub begins_with: Option<String>,
    /// Whether one of the entries is the certificate of the tenant's erasure.
    pub holds_certificate: bool,
    /// Entries that are whole, but whose details no program can read.
    pub unreadable: Vec<i64>,
}

/// Recomputes the tenant's chain from its first entry.
///
/// # Errors
/// When the database is away or refuses.
pub async fn verify(tx: &TenantTx) -> Result<Verification, DbError> {
    let mut chain = Chain::new(tx.tenant());
    let broken = walk(tx, &mut chain, |_| Ok(())).await?;
    Ok(Verification {
        entries: chain.entries(),
        broken_at: broken.map(|ChainBreak { at }| at),
        head: chain.head(),
        begins_with: chain.begins_with().map(str::to_owned),
        holds_certificate: chain.holds_certificate(),
        unreadable: chain.unreadable().to_vec(),
    })
}

/// Gives every entry to `each`, in order, for as long as each follows from the one before it.
///
/// # Errors
/// When the database is away or refuses, or `each` does.
pub async fn walk(
    tx: &TenantTx,
    chain: &mut Chain,
    mut each: impl FnMut(&ChainedEntry) -> Result<(), DbError>,
) -> Result<Option<ChainBreak>, DbError> {
    const BATCH_SIZE: i64 = 5_000;
    // Below everything: an entry before the first would be one too many.
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
            let link = link(tx.tenant(), row)?;
            if let Err(broken) = chain.follow(&link) {
                return Ok(Some(broken));
            }
            each(&link)?;
        }
        from = chain.entries().saturating_add(1);
    }
}

/// The hash of the entry with this number, in hexadecimal; `None` where there is none.
///
/// # Errors
/// When the database is away or refuses.
pub async fn hash_at(tx: &TenantTx, seq: i64) -> Result<Option<String>, DbError> {
    let rows = tx
        .query(sql!("audit/chain.sql"), &[tx.tenant().as_uuid(), &seq, &1_i64])
        .await?;
    let found = rows.first().map(|row| link(tx.tenant(), row)).transpose()?;
    Ok(found.filter(|link| link.seq == seq).map(|link| link.hash))
}

fn link(tenant: TenantId, row: &Row) -> Result<ChainedEntry, DbError> {
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
        details: chain::read_details(&details).unwrap_or(Value::Null),
        details_text: details,
        source: row.try_get("source")?,
        prev_hash: chain::hex(row.try_get("prev_hash")?),
        hash: chain::hex(row.try_get("hash")?),
    })
}
