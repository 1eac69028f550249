//! Embeds the skills of a tenant, and stores the vectors.
//!
//! Nobody waits for it: the server does it after a call, `skillkeep search embed` at once. No transaction is open while the
//! provider computes.

use std::sync::Arc;
use std::time::Duration;

use skill_embeddings::{
    EmbedError, Embedder, Embedding, InputHash, ModelId, QuantizedVector, passages_of, text_of,
};
use tokio_postgres::Row;
use uuid::Uuid;

use super::meaning::Meaning;
use crate::db::{DbError, ServerDb, TenantTx};
use crate::ids::TenantId;
use crate::sql;

/// Number of skills that are embedded and stored at once.
const BATCH_SIZE: i64 = 16;
/// How often embedding a tenant's skills is tried before the next call of the tenant, after some minutes.
const ATTEMPTS: u32 = 4;
/// The wait before the second attempt; doubled before each further one.
const FIRST_WAIT: Duration = Duration::from_secs(15);

/// Why the skills of a tenant were not embedded.
#[derive(Debug, thiserror::Error)]
pub enum EmbeddingError {
    #[error(transparent)]
    Db(#[from] DbError),
    #[error(transparent)]
    Provider(#[from] EmbedError),
}

/// Which skills are embedded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Embedded {
    /// Those without a vector of the model.
    Missing,
    /// Also those whose text differs from the one that was embedded.
    Outdated,
}

/// How far [`embed`] is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EmbeddingProgress {
    /// Number of skills that were embedded.
    pub embedded: usize,
    /// Number of skills that the model could not embed.
    pub failed: usize,
}

/// What is stored of a tenant's embeddings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingStatus {
    /// Number of skills that searches can find.
    pub skills: i64,
    /// Number of those with a vector of the model.
    pub embedded: i64,
    /// Number of vectors of other models.
    pub of_other_models: i64,
}

/// A skill to embed.
struct Pending {
    revision: i64,
    version: Uuid,
    /// The text of the description, then passages.
    texts: Vec<String>,
    hash: InputHash,
    /// Whether it has vectors of these texts.
    is_current: bool,
}

/// Counts the vectors of a model.
///
/// # Errors
/// Returns a [`DbError`] if they cannot be read.
pub async fn embedding_status(tx: &TenantTx, model: &ModelId) -> Result<EmbeddingStatus, DbError> {
    let row = tx
        .query_one(
            sql!("embeddings/status.sql"),
            &[tx.tenant().as_uuid(), &model.as_str()],
        )
        .await?;
    Ok(EmbeddingStatus {
        skills: row.try_get("skills")?,
        embedded: row.try_get("embedded")?,
        of_other_models: row.try_get("other")?,
    })
}

/// Embeds the skills of a tenant that searches can find, and deletes the vectors of other models and versions. Each batch is stored
/// in a transaction that `begin` starts, so what was embedded before an error stays. Calls `on_progress` after each batch.
///
/// # Errors
/// If the database or the provider fails. A text that the model cannot embed is counted and left out.
pub async fn embed<B, F>(
    embedder: &dyn Embedder,
    which: Embedded,
    begin: B,
    mut on_progress: impl FnMut(EmbeddingProgress) + Send,
) -> Result<EmbeddingProgress, EmbeddingError>
where
    B: Fn() -> F + Send + Sync,
    F: Future<Output = Result<TenantTx, DbError>> + Send,
{
    let mut progress = EmbeddingProgress::default();
    let mut after = -1;
    loop {
        let tx = begin().await?;
        let batch = pending(&tx, embedder.model_id(), after, which).await?;
        let Some(last) = batch.last() else {
            delete_outdated(&tx, embedder.model_id()).await?;
            tx.commit().await?;
            return Ok(progress);
        };
        after = last.revision;
        tx.rollback().await?;
        let changed: Vec<Pending> = batch.into_iter().filter(|skill| !skill.is_current).collect();
        if changed.is_empty() {
            continue;
        }
        let computed = compute(embedder, changed).await?;
        progress.failed += computed.failed;
        progress.embedded += computed.vectors.len();
        let tx = begin().await?;
        store(&tx, embedder, &computed.vectors).await?;
        tx.commit().await?;
        on_progress(progress);
    }
}

async fn pending(
    tx: &TenantTx,
    model: &ModelId,
    after: i64,
    which: Embedded,
) -> Result<Vec<Pending>, DbError> {
    let only_missing = which == Embedded::Missing;
    let rows = tx
        .query(
            sql!("embeddings/pending.sql"),
            &[
                tx.tenant().as_uuid(),
                &after,
                &model.as_str(),
                &only_missing,
                &BATCH_SIZE,
            ],
        )
        .await?;
    rows.iter().map(|row| Pending::from_row(row, model)).collect()
}

impl Pending {
    fn texts(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    fn from_row(row: &Row, model: &ModelId) -> Result<Self, DbError> {
        let skill_md: Option<&[u8]> = row.try_get("skill_md")?;
        let slug: &str = row.try_get("slug")?;
        // As in the search index: of what this program cannot read, name and description are embedded.
        let document = skill_md.and_then(|bytes| agent_skills::read_document(bytes, slug).ok());
        let (headings, body) = document
            .map(|document| (document.headings, document.body))
            .unwrap_or_default();
        let mut texts = vec![text_of(
            row.try_get("name")?,
            row.try_get("description")?,
            &headings,
        )];
        texts.extend(passages_of(&body));
        let hash = InputHash::of(model, &texts.join("\0"));
        let stored: Option<&[u8]> = row.try_get("input_hash")?;
        Ok(Self {
            revision: row.try_get("revision")?,
            version: row.try_get("version_id")?,
            is_current: stored == Some(hash.as_bytes().as_slice()),
            texts,
            hash,
        })
    }
}

#[derive(Default)]
struct Computed {
    /// The vectors of each skill as they are stored.
    vectors: Vec<(Uuid, InputHash, Vec<u8>)>,
    failed: usize,
}

/// Embeds a batch; skill by skill if one of the texts cannot be embedded.
async fn compute(embedder: &dyn Embedder, skills: Vec<Pending>) -> Result<Computed, EmbedError> {
    let texts: Vec<&str> = skills.iter().flat_map(Pending::texts).collect();
    let mut computed = Computed::default();
    match embedder.embed_documents(&texts).await {
        Ok(embeddings) => {
            let mut rest = embeddings.as_slice();
            for skill in &skills {
                let (own, others) = rest.split_at_checked(skill.texts.len()).unwrap_or_default();
                computed.add(skill, own);
                rest = others;
            }
        }
        Err(error) if is_of_one_text(&error) => {
            for skill in &skills {
                let texts: Vec<&str> = skill.texts().collect();
                match embedder.embed_documents(&texts).await {
                    Ok(embeddings) => computed.add(skill, &embeddings),
                    Err(error) if is_of_one_text(&error) => {
                        tracing::warn!(%error, version = %skill.version, "a skill cannot be embedded");
                    }
                    Err(error) => return Err(error),
                }
            }
        }
        Err(error) => return Err(error),
    }
    computed.failed = skills.len() - computed.vectors.len();
    Ok(computed)
}

impl Computed {
    fn add(&mut self, skill: &Pending, embeddings: &[Embedding]) {
        let vectors: Vec<QuantizedVector> = embeddings.iter().map(QuantizedVector::new).collect();
        if !vectors.is_empty() {
            let bytes = QuantizedVector::list_to_bytes(&vectors);
            self.vectors.push((skill.version, skill.hash, bytes));
        }
    }
}

/// Whether other texts may be embedded in spite of this error.
const fn is_of_one_text(error: &EmbedError) -> bool {
    matches!(error, EmbedError::BadVector(_) | EmbedError::Model { .. })
}

async fn store(
    tx: &TenantTx,
    embedder: &dyn Embedder,
    vectors: &[(Uuid, InputHash, Vec<u8>)],
) -> Result<(), DbError> {
    let (tenant, model) = (tx.tenant(), embedder.model_id().as_str());
    let row = tx
        .query_one(sql!("embeddings/next_revision.sql"), &[tenant.as_uuid()])
        .await?;
    let revision: i64 = row.try_get("embeddings_revision")?;
    let dimensions = i32::try_from(embedder.dimensions()).unwrap_or(i32::MAX);
    let versions: Vec<Uuid> = vectors.iter().map(|(version, ..)| *version).collect();
    let hashes: Vec<&[u8]> = vectors
        .iter()
        .map(|(_, hash, _)| hash.as_bytes().as_slice())
        .collect();
    let bytes: Vec<&[u8]> = vectors.iter().map(|(.., bytes)| bytes.as_slice()).collect();
    tx.execute(
        sql!("embeddings/delete.sql"),
        &[tenant.as_uuid(), &model, &versions],
    )
    .await?;
    tx.execute(
        sql!("embeddings/insert.sql"),
        &[
            tenant.as_uuid(),
            &model,
            &dimensions,
            &revision,
            &versions,
            &hashes,
            &bytes,
        ],
    )
    .await?;
    Ok(())
}

async fn delete_outdated(tx: &TenantTx, model: &ModelId) -> Result<(), DbError> {
    tx.execute(
        sql!("embeddings/delete_outdated.sql"),
        &[tx.tenant().as_uuid(), &model.as_str()],
    )
    .await?;
    Ok(())
}

/// Does [`embed`] for a tenant in the background, after a call that changed skills or found some without a vector. A tenant's skills
/// are embedded once at a time.
pub async fn embed_after_call(db: ServerDb, meaning: Arc<Meaning>, tenant: TenantId) {
    if !meaning.begin(tenant) {
        return;
    }
    loop {
        let stopped = meaning.stopped().clone();
        let has_failed = tokio::select! {
            () = stopped.cancelled() => return,
            embedded = embed_with_retries(&db, &meaning, tenant) => !embedded,
        };
        if !meaning.end(tenant, has_failed) {
            return;
        }
    }
}

/// Returns whether all skills have a vector now.
async fn embed_with_retries(db: &ServerDb, meaning: &Meaning, tenant: TenantId) -> bool {
    let mut wait = FIRST_WAIT;
    for attempt in 1..=ATTEMPTS {
        let which = if meaning.is_checked(tenant) {
            Embedded::Missing
        } else {
            Embedded::Outdated
        };
        let begin = || TenantTx::begin_after_call(db, tenant);
        match embed(meaning.embedder().as_ref(), which, begin, |_| ()).await {
            Ok(progress) => return progress.failed == 0,
            Err(error) => {
                tracing::warn!(%error, %tenant, attempt, "cannot embed the skills of a tenant");
            }
        }
        if attempt < ATTEMPTS {
            tokio::time::sleep(wait).await;
            wait *= 2;
        }
    }
    false
}
