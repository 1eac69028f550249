//! The catalogs of the tenants that searched recently, and their searches.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use skill_embeddings::COSINE_WEIGHT;
use skill_search::segment::{BlockId, LoadedIndex};
use skill_search::{Hit, Query, TermKey, Vocabulary};
use tokio::sync::{OwnedRwLockReadGuard, RwLock};
use uuid::Uuid;

use super::blocks::BlockCache;
use super::catalog::TenantCatalog;
use super::facets::Facets;
use super::fusing::{WORD_CANDIDATES, fused};
use super::meaning::{Meaning, WordsOnly};
use super::vectors::TenantVectors;
use super::{segments, source};
use crate::db::{DbError, TenantTx};
use crate::ids::{SkillId, TenantId};

/// Memory of all indexes of a process, by default.
pub(super) const DEFAULT_MEMORY_BYTES: u64 = 512 << 20;
/// How often a search begins again because segments were merged while it ran.
const MAX_ATTEMPTS: usize = 5;
/// The revision of a process that does not know the catalog's: all changes are read.
const ALL: i64 = i64::MAX;

struct CacheEntry {
    catalog: Arc<RwLock<TenantCatalog>>,
    vectors: Arc<RwLock<TenantVectors>>,
    /// Value of [`SearchCache::clock`] at the last search.
    last_used: AtomicU64,
    /// Size of the catalog after its last update.
    memory_bytes: AtomicU64,
    /// Size of the vectors after their last update.
    vector_bytes: AtomicU64,
}

/// The catalogs of the tenants that searched recently, and blocks of postings.
pub struct SearchCache {
    tenants: Mutex<HashMap<TenantId, Arc<CacheEntry>>>,
    blocks: BlockCache,
    meaning: Option<Arc<Meaning>>,
    /// Number of searches so far.
    clock: AtomicU64,
    /// Limit for all catalogs together. Above it, the least recently used ones are dropped.
    max_catalog_bytes: u64,
}

/// What a search found.
pub struct Found {
    pub hits: Vec<Hit<SkillId>>,
    /// Hits that none of the query's words found.
    pub by_meaning: Vec<SkillId>,
    /// The query with corrected and completed words.
    pub query: Query,
    /// The catalog that was searched.
    pub catalog: OwnedRwLockReadGuard<TenantCatalog>,
    /// Why meaning was not used, although there is a provider of embeddings.
    pub words_only: Option<WordsOnly>,
}

impl Default for SearchCache {
    fn default() -> Self {
        Self::new(DEFAULT_MEMORY_BYTES)
    }
}

impl SearchCache {
    /// A cache that keeps at most `max_bytes`, half of them of blocks. The index of the tenant that searched last is kept even if
    /// it is larger.
    #[must_use]
    pub fn new(max_bytes: u64) -> Self {
        Self {
            tenants: Mutex::default(),
            blocks: BlockCache::new(max_bytes / 2),
            meaning: None,
            clock: AtomicU64::default(),
            max_catalog_bytes: max_bytes / 2,
        }
    }

    /// The same cache, whose searches also use meaning.
    #[must_use]
    pub fn with_meaning(mut self, meaning: Option<Arc<Meaning>>) -> Self {
        self.meaning = meaning;
        self
    }

    #[must_use]
    pub const fn meaning(&self) -> Option<&Arc<Meaning>> {
        self.meaning.as_ref()
    }

    /// The best `limit` skills for which `filter` is true, best first. `revision` is the catalog's, as the transaction read it;
    /// `None` to read all changes.
    ///
    /// With a provider of embeddings, the query is embedded while words are searched. If that fails or takes longer than
    /// [`skill_embeddings::QUERY_BUDGET`], the hits are those of the words, and [`Found::words_only`] says why.
    ///
    /// # Errors
    /// Returns a [`DbError`] if the index cannot be read.
    pub async fn search(
        &self,
        tx: &TenantTx,
        revision: Option<i64>,
        text: &str,
        limit: usize,
        filter: impl Fn(SkillId, &Facets<'_>) -> bool + Send + Sync,
    ) -> Result<Found, DbError> {
        let query = Query::new(text);
        let Some(meaning) = &self.meaning else {
            return self.search_words(tx, revision, &query, limit, &filter).await;
        };
        let words = async {
            let limit = limit.max(WORD_CANDIDATES);
            let found = self.search_words(tx, revision, &query, limit, &filter).await?;
            let vectors = self.current_vectors(tx, meaning, &found.catalog).await?;
            Ok::<_, DbError>((found, vectors))
        };
        // Polled in this order, so that the computation has begun before words are searched.
        let (embedding, words) = futures::join!(meaning.query(text), words);
        let (mut found, vectors) = words?;
        match embedding {
            Ok(embedding) => {
                let passes = |skill| {
                    found
                        .catalog
                        .facets(skill)
                        .is_some_and(|facets| filter(skill, &facets))
                };
                let hits = std::mem::take(&mut found.hits);
                let vectors = &vectors.vectors;
                let fused = fused(hits, &query, vectors, &embedding, COSINE_WEIGHT, limit, passes);
                (found.hits, found.by_meaning) = fused;
            }
            Err(why) => {
                found.hits.truncate(limit);
                found.words_only = Some(why);
            }
        }
        Ok(found)
    }

    /// As [`Self::search`], by words alone.
    ///
    /// # Errors
    /// As [`Self::search`].
    pub async fn search_words(
        &self,
        tx: &TenantTx,
        revision: Option<i64>,
        query: &Query,
        limit: usize,
        filter: &(impl Fn(SkillId, &Facets<'_>) -> bool + Send + Sync),
    ) -> Result<Found, DbError> {
        for _ in 0..MAX_ATTEMPTS {
            let catalog = self.current(tx, revision).await?;
            let found = self.search_in(tx, &catalog, query, limit, filter).await?;
            if let Some((query, hits)) = found {
                return Ok(Found {
                    hits,
                    by_meaning: Vec::new(),
                    query,
                    catalog,
                    words_only: None,
                });
            }
            drop(catalog);
            self.entry(tx.tenant()).catalog.write().await.revision = -1;
        }
        Err(DbError::Unavailable(
            "the search index changes too often".to_owned(),
        ))
    }

    /// `None` if a segment was merged meanwhile.
    async fn search_in(
        &self,
        tx: &TenantTx,
        catalog: &TenantCatalog,
        query: &Query,
        limit: usize,
        filter: &(impl Fn(SkillId, &Facets<'_>) -> bool + Send + Sync),
    ) -> Result<Option<(Query, Vec<Hit<SkillId>>)>, DbError> {
        let none = Vocabulary::default();
        let loaded = LoadedIndex::new(&catalog.index, &none);
        let Some(loaded) = self.load(tx, catalog, loaded, query).await? else {
            return Ok(None);
        };
        let vocabulary = if query.needs_vocabulary(&loaded) {
            catalog.vocabulary(tx).await?
        } else {
            Arc::default()
        };
        let loaded = loaded.with_vocabulary(&vocabulary);
        let query = query.expanded(&loaded);
        let Some(loaded) = self.load(tx, catalog, loaded, &query).await? else {
            return Ok(None);
        };
        let passes = |id: u128| {
            let skill = SkillId::from_uuid(Uuid::from_u128(id));
            catalog.facets(skill).is_some_and(|facets| filter(skill, &facets))
        };
        let hits = skill_search::search(&loaded, &query, limit, passes);
        let hits = hits
            .into_iter()
            .map(|hit| hit.with_id(|id| SkillId::from_uuid(Uuid::from_u128(id))))
            .collect();
        Ok(Some((query, hits)))
    }

    /// Loads the postings of the query's terms that are not loaded yet. `None` if a block is not stored any more.
    async fn load<'a>(
        &self,
        tx: &TenantTx,
        catalog: &TenantCatalog,
        mut loaded: LoadedIndex<'a>,
        query: &Query,
    ) -> Result<Option<LoadedIndex<'a>>, DbError> {
        let keys: Vec<TermKey> = query.keys().filter(|key| !loaded.has(*key)).collect();
        let wanted: Vec<BlockId> = catalog
            .index
            .blocks_of(&keys)
            .into_iter()
            .map(|(_, block)| block)
            .collect();
        let stored = wanted
            .iter()
            .copied()
            .filter(|id| catalog.unsaved_block(*id).is_none());
        let blocks = self.blocks.get(tx, stored).await?;
        let block = |id: BlockId| {
            let block = catalog.unsaved_block(id).or_else(|| blocks.get(&id));
            block.map(|block| &**block)
        };
        if wanted.iter().any(|id| block(*id).is_none()) {
            return Ok(None);
        }
        loaded.load(&keys, block).map_err(segments::damaged)?;
        Ok(Some(loaded))
    }

    /// The catalog of the transaction's tenant, current as of the transaction. It does not change while the guard exists.
    ///
    /// # Errors
    /// Returns a [`DbError`] if the index or the catalog's changes cannot be read.
    pub async fn current(
        &self,
        tx: &TenantTx,
        revision: Option<i64>,
    ) -> Result<OwnedRwLockReadGuard<TenantCatalog>, DbError> {
        let revision = revision.unwrap_or(ALL);
        let entry = self.entry(tx.tenant());
        let catalog = Arc::clone(&entry.catalog).read_owned().await;
        if catalog.revision >= revision {
            return Ok(catalog);
        }
        drop(catalog);
        let mut catalog = Arc::clone(&entry.catalog).write_owned().await;
        if catalog.revision < revision {
            update(&mut catalog, tx, revision).await?;
            let bytes = u64::try_from(catalog.memory_bytes()).unwrap_or(u64::MAX);
            entry.memory_bytes.store(bytes, Ordering::Relaxed);
            self.evict(tx.tenant());
        }
        Ok(catalog.downgrade())
    }

    /// The vectors of the transaction's tenant, current as of the transaction. Marks the transaction if skills have none yet.
    async fn current_vectors(
        &self,
        tx: &TenantTx,
        meaning: &Meaning,
        catalog: &TenantCatalog,
    ) -> Result<OwnedRwLockReadGuard<TenantVectors>, DbError> {
        let (entry, embedder) = (self.entry(tx.tenant()), meaning.embedder());
        let mut vectors = Arc::clone(&entry.vectors).read_owned().await;
        let mut changes = vectors.changes(tx, embedder.model_id()).await?;
        // Those of purged skills are left over.
        let is_excessive = vectors.vectors.len() > catalog.len();
        if !changes.is_empty() || is_excessive {
            drop(vectors);
            let mut current = Arc::clone(&entry.vectors).write_owned().await;
            if is_excessive {
                *current = TenantVectors::default();
            }
            // Another search may have read them meanwhile, or the beginning again.
            changes = current.changes(tx, embedder.model_id()).await?;
            current.apply(changes, embedder.dimensions());
            let bytes = u64::try_from(current.vectors.memory_bytes()).unwrap_or(u64::MAX);
            entry.vector_bytes.store(bytes, Ordering::Relaxed);
            self.evict(tx.tenant());
            vectors = current.downgrade();
        }
        if vectors.vectors.len() < catalog.len() {
            tx.set_embedding_due();
        }
        Ok(vectors)
    }

    fn entry(&self, tenant: TenantId) -> Arc<CacheEntry> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = tenants.entry(tenant).or_insert_with(|| {
            Arc::new(CacheEntry {
                catalog: Arc::default(),
                vectors: Arc::default(),
                last_used: AtomicU64::new(now),
                memory_bytes: AtomicU64::new(0),
                vector_bytes: AtomicU64::new(0),
            })
        });
        entry.last_used.store(now, Ordering::Relaxed);
        Arc::clone(entry)
    }

    /// Drops the least recently used catalogs, but not that of `keep`, until all fit.
    fn evict(&self, keep: TenantId) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let total: u64 = tenants
                .values()
                .map(|entry| {
                    let vectors = entry.vector_bytes.load(Ordering::Relaxed);
                    vectors.saturating_add(entry.memory_bytes.load(Ordering::Relaxed))
                })
                .sum();
            let oldest = tenants
                .iter()
                .filter(|(tenant, _)| **tenant != keep)
                .min_by_key(|(_, entry)| entry.last_used.load(Ordering::Relaxed))
                .map(|(tenant, _)| *tenant);
            match oldest {
                Some(tenant) if total > self.max_catalog_bytes => tenants.remove(&tenant),
                Some(_) | None => return,
            };
        }
    }
}

/// Reads the segments that the catalog lacks, and indexes the changes that no segment has.
async fn update(catalog: &mut TenantCatalog, tx: &TenantTx, revision: i64) -> Result<(), DbError> {
    if catalog.is_sparse() {
        *catalog = TenantCatalog::default();
    }
    let mut indexed = 0;
    for attempt in 0.. {
        let stored = segments::list(tx).await?;
        let ids: Vec<u128> = stored.iter().map(|segment| segment.id.as_u128()).collect();
        indexed = stored.iter().map(|segment| segment.revision).max().unwrap_or(0);
        catalog.retain_segments(|id| ids.contains(&id));
        let new: Vec<Uuid> = stored
            .iter()
            .map(|segment| segment.id)
            .filter(|id| !catalog.has_segment(id.as_u128()))
            .collect();
        if new.is_empty() {
            break;
        }
        let rows = segments::documents(tx, &new).await?;
        let count = stored.iter().filter(|segment| new.contains(&segment.id));
        catalog
            .index
            .reserve(count.map(|segment| segment.document_count as usize).sum());
        let is_complete = rows.len() == new.len();
        for row in rows {
            let id: Uuid = row.try_get("id")?;
            catalog
                .add(id.as_u128(), row.try_get("documents")?, row.try_get("directory")?)
                .map_err(segments::damaged)?;
        }
        if is_complete {
            break;
        }
        if attempt == MAX_ATTEMPTS {
            return Err(DbError::Unavailable(
                "the search index changes too often".to_owned(),
            ));
        }
    }
    while indexed < revision {
        let Some(batch) = source::next_batch(tx, indexed).await? else {
            break;
        };
        indexed = batch.revision;
        // There is no index yet, or one of an older format: stored after the call, for the processes to come.
        tx.set_compaction_due();
        catalog.add_unsaved(batch.segment).map_err(segments::damaged)?;
    }
    catalog.finish_update().map_err(segments::damaged)?;
    // No skill has one of the remaining revisions.
    catalog.revision = if revision == ALL { indexed } else { revision };
    Ok(())
}
