//! One in-memory search index per tenant, kept current by the revision of the tenant's catalog.
//!
//! The caller's transaction reads the revision together with the API key. An index with an older revision is updated in
//! the same transaction before it is searched, so a search never misses a skill that was published before the call.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::db::{DbError, TenantTx};
use crate::ids::{SkillId, TenantId};
use crate::registry::skills::{self, Changed};
use crate::tenancy::Principal;
use skill_search::{Document, Hit, Query, SearchIndex};

/// Number of skills that one statement reads to update an index: about two megabytes of text.
const BATCH_SIZE: i64 = 200;
/// Limit for all indexes together. Above it, the least recently used ones are dropped.
const MEMORY_BUDGET_BYTES: u64 = 1 << 30;

/// The searchable skills of one tenant.
#[derive(Default)]
pub struct TenantCatalog {
    revision: i64,
    index: SearchIndex<SkillId>,
    facets: HashMap<SkillId, Facets>,
    by_slug: BTreeMap<String, SkillId>,
}

/// The values of a skill by which a search can be filtered. All are lowercase.
#[derive(Debug, Clone)]
pub struct Facets {
    pub slug: String,
    pub category: Option<String>,
    pub tags: Vec<String>,
    pub author: Option<String>,
}

impl TenantCatalog {
    /// The best `limit` skills for which `filter` is true, best first.
    #[must_use]
    pub fn search(&self, query: &Query, limit: usize, filter: impl Fn(&Facets) -> bool) -> Vec<Hit<SkillId>> {
        self.index
            .search(query, limit, |skill| self.facets(skill).is_some_and(&filter))
    }

    #[must_use]
    pub fn facets(&self, skill: SkillId) -> Option<&Facets> {
        self.facets.get(&skill)
    }

    /// The skills ordered by slug, starting after the slug `after`.
    pub fn in_order(&self, after: Option<&str>) -> impl Iterator<Item = (&str, SkillId)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let start = after.map_or(Unbounded, Excluded);
        self.by_slug
            .range::<str, _>((start, Unbounded))
            .map(|(slug, skill)| (slug.as_str(), *skill))
    }

    /// Builds the catalog of the transaction's tenant, for a process that searches once.
    ///
    /// # Errors
    /// Returns a [`DbError`] if the skills cannot be read.
    pub async fn load(tx: &TenantTx) -> Result<Self, DbError> {
        let mut catalog = Self::default();
        loop {
            let changes = skills::changed_since(tx, catalog.revision, BATCH_SIZE).await?;
            if changes.is_empty() {
                return Ok(catalog);
            }
            catalog.apply(changes);
        }
    }

    fn apply(&mut self, changes: Vec<Changed>) {
        for change in changes {
            self.revision = change.revision;
            self.index.remove(change.id);
            if let Some(old) = self.facets.remove(&change.id) {
                self.by_slug.remove(&old.slug);
            }
            if change.active && change.skill_md.is_some() {
                self.add(change);
            }
        }
    }

    fn add(&mut self, change: Changed) {
        let bytes = change.skill_md.as_deref().unwrap_or_default();
        // SKILL.md was readable when the version was published. If this version of the program rejects it, the name
        // and the description from the database are still indexed.
        let document = agent_skills::read_document(bytes, &change.slug).ok();
        let (headings, body) = document
            .map(|document| (document.headings, document.body))
            .unwrap_or_default();
        self.index.upsert(&Document {
            id: change.id,
            name: &change.name,
            description: &change.description,
            tags: &change.tags,
            headings: &headings,
            body: &body,
        });
        self.by_slug.insert(change.slug.clone(), change.id);
        self.facets.insert(
            change.id,
            Facets {
                slug: change.slug,
                category: change.category.map(|text| text.to_lowercase()),
                tags: change.tags.iter().map(|tag| tag.to_lowercase()).collect(),
                author: change.author.map(|text| text.to_lowercase()),
            },
        );
    }
}

struct CacheEntry {
    catalog: Arc<RwLock<TenantCatalog>>,
    /// Value of [`SearchCache::clock`] at the last search.
    last_used: AtomicU64,
    /// Size of the index after its last update.
    memory_bytes: AtomicU64,
}

/// The catalogs of the tenants that searched recently.
#[derive(Default)]
pub struct SearchCache {
    tenants: Mutex<HashMap<TenantId, Arc<CacheEntry>>>,
    /// Number of searches so far.
    clock: AtomicU64,
}

impl SearchCache {
    /// The catalog of the caller's tenant, current as of the transaction. It does not change while the guard exists.
    ///
    /// # Errors
    /// Returns a [`DbError`] if the catalog's changes cannot be read.
    pub async fn current(
        &self,
        tx: &TenantTx,
        principal: &Principal,
    ) -> Result<OwnedRwLockReadGuard<TenantCatalog>, DbError> {
        let entry = self.entry(principal.tenant);
        loop {
            let catalog = Arc::clone(&entry.catalog).read_owned().await;
            if catalog.revision >= principal.catalog_revision {
                return Ok(catalog);
            }
            drop(catalog);
            self.update(&entry, tx, principal).await?;
        }
    }

    async fn update(&self, entry: &CacheEntry, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let mut catalog = Arc::clone(&entry.catalog).write_owned().await;
        while catalog.revision < principal.catalog_revision {
            let changes = skills::changed_since(tx, catalog.revision, BATCH_SIZE).await?;
            if changes.is_empty() {
                // No skill has one of the remaining revisions.
                catalog.revision = principal.catalog_revision;
                break;
            }
            // Indexing would block the other calls on this thread.
            catalog = tokio::task::spawn_blocking(move || {
                catalog.apply(changes);
                catalog
            })
            .await
            .map_err(|error| DbError::Corrupt(format!("the search index could not be built: {error}")))?;
        }
        let bytes = u64::try_from(catalog.index.memory_bytes()).unwrap_or(u64::MAX);
        entry.memory_bytes.store(bytes, Ordering::Relaxed);
        drop(catalog);
        self.evict(principal.tenant);
        Ok(())
    }

    fn entry(&self, tenant: TenantId) -> Arc<CacheEntry> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = tenants.entry(tenant).or_insert_with(|| {
            Arc::new(CacheEntry {
                catalog: Arc::default(),
                last_used: AtomicU64::new(now),
                memory_bytes: AtomicU64::new(0),
            })
        });
        entry.last_used.store(now, Ordering::Relaxed);
        Arc::clone(entry)
    }

    /// Drops the least recently used catalogs, but not that of `keep`, until all fit into [`MEMORY_BUDGET_BYTES`].
    fn evict(&self, keep: TenantId) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let total: u64 = tenants
                .values()
                .map(|entry| entry.memory_bytes.load(Ordering::Relaxed))
                .sum();
            let oldest = tenants
                .iter()
                .filter(|(tenant, _)| **tenant != keep)
                .min_by_key(|(_, entry)| entry.last_used.load(Ordering::Relaxed))
                .map(|(tenant, _)| *tenant);
            match oldest {
                Some(tenant) if total > MEMORY_BUDGET_BYTES => tenants.remove(&tenant),
                Some(_) | None => return,
            };
        }
    }
}
