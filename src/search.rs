//! The tenants' indexes, kept true by the catalog's revision.
//!
//! The revision is read in the caller's own transaction, with his key. An index that is behind it catches up in that
//! same transaction before it answers, so a caller never misses what was published before his call.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{OwnedRwLockReadGuard, RwLock};

use crate::db::{DbError, TenantTx};
use crate::ids::{SkillId, TenantId};
use crate::registry::skills::{self, Changed};
use crate::tenancy::Principal;
use skill_search::{SearchIndex, SkillText};

/// Skills that are read at once while an index catches up: about two megabytes of text.
const BATCH: i64 = 200;
/// Above this many bytes of all indexes together, those of tenants that have not searched for longest are dropped.
const MEMORY_BUDGET_BYTES: usize = 1 << 30;

/// One tenant's skills as far as searching needs them.
#[derive(Default)]
pub struct TenantCatalog {
    revision: i64,
    index: SearchIndex,
    facets: HashMap<SkillId, Facets>,
    by_slug: BTreeMap<String, SkillId>,
}

/// What a search can be narrowed by.
#[derive(Debug, Clone)]
pub struct Facets {
    /// The skill's unique name.
    pub slug: String,
    /// Its category, in small letters.
    pub category: Option<String>,
    /// Its tags, in small letters.
    pub tags: Vec<String>,
    /// Its author, in small letters.
    pub author: Option<String>,
}

impl TenantCatalog {
    /// The index.
    #[must_use]
    pub const fn index(&self) -> &SearchIndex {
        &self.index
    }

    /// What a skill can be narrowed by; `None` for one that is not in the catalog.
    #[must_use]
    pub fn facets(&self, skill: SkillId) -> Option<&Facets> {
        self.facets.get(&skill)
    }

    /// The skills in the order of their slugs, after a slug or from the first.
    pub fn in_order(&self, after: Option<&str>) -> impl Iterator<Item = (&str, SkillId)> {
        use std::ops::Bound::{Excluded, Unbounded};
        let from = after.map_or(Unbounded, Excluded);
        self.by_slug
            .range::<str, _>((from, Unbounded))
            .map(|(slug, skill)| (slug.as_str(), *skill))
    }

    fn apply(&mut self, changes: Vec<Changed>) {
        for change in changes {
            self.revision = change.revision;
            self.index.remove(*change.id.as_uuid());
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
        // A version was readable when it was published; should it not be now, its name and description still are.
        let document = agent_skills::read_document(bytes, &change.slug).ok();
        let (headings, body) = document.map(|d| (d.headings, d.body)).unwrap_or_default();
        self.index.upsert(&SkillText {
            skill: *change.id.as_uuid(),
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

struct Slot {
    catalog: Arc<RwLock<TenantCatalog>>,
    /// The cache's clock at the last search.
    last_used: AtomicU64,
    /// The index's size when it last caught up, in bytes.
    bytes: AtomicU64,
}

/// The catalogues of the tenants that searched lately.
#[derive(Default)]
pub struct SearchCache {
    tenants: Mutex<HashMap<TenantId, Arc<Slot>>>,
    clock: AtomicU64,
}

impl SearchCache {
    /// The caller's catalog, true as of his transaction. While the guard lives, nobody changes it.
    ///
    /// # Errors
    /// When the database is away or refuses.
    pub async fn current(
        &self,
        tx: &TenantTx,
        principal: &Principal,
    ) -> Result<OwnedRwLockReadGuard<TenantCatalog>, DbError> {
        let slot = self.slot(principal.tenant);
        loop {
            let catalog = Arc::clone(&slot.catalog).read_owned().await;
            if catalog.revision >= principal.catalog_revision {
                return Ok(catalog);
            }
            drop(catalog);
            self.catch_up(&slot, tx, principal).await?;
        }
    }

    async fn catch_up(&self, slot: &Slot, tx: &TenantTx, principal: &Principal) -> Result<(), DbError> {
        let mut catalog = Arc::clone(&slot.catalog).write_owned().await;
        while catalog.revision < principal.catalog_revision {
            let changes = skills::changed_since(tx, catalog.revision, BATCH).await?;
            if changes.is_empty() {
                // The last revisions belong to skills that changed again since, or to none.
                catalog.revision = principal.catalog_revision;
                break;
            }
            // Taking words apart would hold up the other calls of this thread.
            catalog = tokio::task::spawn_blocking(move || {
                catalog.apply(changes);
                catalog
            })
            .await
            .map_err(|error| DbError::Corrupt(format!("the search index could not be built: {error}")))?;
        }
        let bytes = u64::try_from(catalog.index.memory_bytes()).unwrap_or(u64::MAX);
        slot.bytes.store(bytes, Ordering::Relaxed);
        drop(catalog);
        self.evict(principal.tenant);
        Ok(())
    }

    fn slot(&self, tenant: TenantId) -> Arc<Slot> {
        let now = self.clock.fetch_add(1, Ordering::Relaxed);
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let slot = tenants.entry(tenant).or_insert_with(|| {
            Arc::new(Slot {
                catalog: Arc::default(),
                last_used: AtomicU64::new(now),
                bytes: AtomicU64::new(0),
            })
        });
        slot.last_used.store(now, Ordering::Relaxed);
        Arc::clone(slot)
    }

    fn evict(&self, keep: TenantId) {
        let mut tenants = self.tenants.lock().unwrap_or_else(PoisonError::into_inner);
        let budget = u64::try_from(MEMORY_BUDGET_BYTES).unwrap_or(u64::MAX);
        loop {
            let total: u64 = tenants
                .values()
                .map(|slot| slot.bytes.load(Ordering::Relaxed))
                .sum();
            let oldest = tenants
                .iter()
                .filter(|(tenant, _)| **tenant != keep)
                .min_by_key(|(_, slot)| slot.last_used.load(Ordering::Relaxed))
                .map(|(tenant, _)| *tenant);
            match oldest {
                Some(tenant) if total > budget => tenants.remove(&tenant),
                Some(_) | None => return,
            };
        }
    }
}
