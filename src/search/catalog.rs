//! The searchable skills of one tenant.

use std::sync::{Arc, Mutex, PoisonError};

use skill_search::Vocabulary;
use skill_search::segment::{BlockId, EncodedSegment, InvalidSegment, SegmentId, SegmentedIndex};
use uuid::Uuid;

use super::facets::Facets;
use super::segments;
use super::slugs::Slugs;
use crate::db::{DbError, TenantTx};
use crate::ids::SkillId;

/// The searchable skills of one tenant.
#[derive(Default)]
pub struct TenantCatalog {
    /// The revision of the tenant's catalog up to which it is current.
    pub(super) revision: i64,
    pub(super) index: SegmentedIndex,
    slugs: Slugs,
    /// Slots of documents that [`Self::finish_update`] has yet to add to `slugs`.
    added: Vec<u32>,
    /// Changes that no stored segment has.
    unsaved: Vec<Unsaved>,
    vocabulary: Mutex<Option<CachedVocabulary>>,
}

/// A segment that exists in this process only.
struct Unsaved {
    id: SegmentId,
    blocks: Vec<Arc<[u8]>>,
    vocabulary: Vec<u8>,
}

struct CachedVocabulary {
    /// The segments that it is made of.
    segments: Vec<SegmentId>,
    words: Arc<Vocabulary>,
}

impl TenantCatalog {
    /// Number of skills.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.index.len()
    }

    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    #[must_use]
    pub fn facets(&self, skill: SkillId) -> Option<Facets<'_>> {
        self.facets_at(self.index.slot_of(skill.as_uuid().as_u128())?)
    }

    fn facets_at(&self, slot: u32) -> Option<Facets<'_>> {
        let (_, payload) = self.index.document(slot)?;
        Facets::decode(payload)
    }

    fn skill_at(&self, slot: u32) -> Option<SkillId> {
        let (entry, _) = self.index.document(slot)?;
        Some(SkillId::from_uuid(Uuid::from_u128(entry.id)))
    }

    /// The signature of the skill's body, to recognise near-copies.
    #[must_use]
    pub fn signature(&self, skill: SkillId) -> Option<u64> {
        let slot = self.index.slot_of(skill.as_uuid().as_u128())?;
        self.index.document(slot).map(|(entry, _)| entry.signature)
    }

    /// The skill with this slug.
    #[must_use]
    pub fn find(&self, slug: &str) -> Option<SkillId> {
        self.skill_at(self.slugs.find(&self.index, slug)?)
    }

    /// The skills ordered by slug, starting after the slug `after`.
    pub fn in_order(&self, after: Option<&str>) -> impl Iterator<Item = (SkillId, Facets<'_>)> {
        self.slugs
            .in_order(&self.index, after)
            .filter_map(|slot| Some((self.skill_at(slot)?, self.facets_at(slot)?)))
    }

    /// Approximate memory use in bytes.
    pub(super) fn memory_bytes(&self) -> usize {
        let unsaved: usize = self
            .unsaved
            .iter()
            .flat_map(|one| &one.blocks)
            .map(|block| block.len())
            .sum();
        let vocabulary = self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner);
        let words = vocabulary
            .as_ref()
            .map_or(0, |cached| cached.words.memory_bytes());
        self.index.memory_bytes() + self.slugs.memory_bytes() + unsaved + words
    }

    /// Whether so many slots are unused that a new catalog would be half as large.
    pub(super) const fn is_sparse(&self) -> bool {
        self.index.slot_count() > 2 * self.index.len() + 4_096
    }

    pub(super) fn add(
        &mut self,
        id: SegmentId,
        documents: &[u8],
        directory: &[u8],
    ) -> Result<(), InvalidSegment> {
        let applied = self.index.add(id, documents, directory)?;
        self.forget(applied.removed);
        self.added.extend(applied.added);
        Ok(())
    }

    /// Makes what was added findable by slug. To be called after the last segment of an update.
    pub(super) fn finish_update(&mut self) -> Result<(), InvalidSegment> {
        let added = std::mem::take(&mut self.added);
        self.slugs.add(&self.index, &added)
    }

    /// Removes segments that are not stored any more, because they were merged or are no longer needed.
    pub(super) fn retain_segments(&mut self, is_stored: impl Fn(SegmentId) -> bool) {
        let gone: Vec<SegmentId> = self.index.segment_ids().filter(|id| !is_stored(*id)).collect();
        for id in gone {
            let removed = self.index.remove_segment(id);
            self.forget(removed);
            self.unsaved.retain(|unsaved| unsaved.id != id);
        }
    }

    fn forget(&mut self, removed: Vec<(u32, Box<[u8]>)>) {
        for (slot, payload) in removed {
            if let Some(slug) = Facets::slug_of(&payload) {
                self.slugs.remove(slot, slug);
            }
        }
    }

    pub(super) fn has_segment(&self, id: SegmentId) -> bool {
        self.index.segment_ids().any(|own| own == id)
    }

    /// Adds a segment that exists in this process only, until the next update finds stored ones instead.
    pub(super) fn add_unsaved(&mut self, segment: EncodedSegment) -> Result<(), InvalidSegment> {
        let id = Uuid::now_v7().as_u128();
        self.add(id, &segment.documents, &segment.directory)?;
        self.unsaved.push(Unsaved {
            id,
            blocks: segment.blocks.into_iter().map(Arc::from).collect(),
            vocabulary: segment.vocabulary,
        });
        Ok(())
    }

    /// A block of an unsaved segment.
    pub(super) fn unsaved_block(&self, id: BlockId) -> Option<&Arc<[u8]>> {
        let unsaved = self.unsaved.iter().find(|unsaved| unsaved.id == id.segment)?;
        unsaved.blocks.get(id.number as usize)
    }

    /// The words of all segments. Read once for a set of segments.
    pub(super) async fn vocabulary(&self, tx: &TenantTx) -> Result<Arc<Vocabulary>, DbError> {
        let segments: Vec<SegmentId> = self.index.segment_ids().collect();
        if let Some(cached) = &*self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner)
            && cached.segments == segments
        {
            return Ok(Arc::clone(&cached.words));
        }
        let is_unsaved = |id: &&SegmentId| self.unsaved.iter().any(|unsaved| unsaved.id == **id);
        let stored: Vec<Uuid> = segments
            .iter()
            .filter(|id| !is_unsaved(id))
            .map(|id| Uuid::from_u128(*id))
            .collect();
        let stored = segments::vocabularies(tx, &stored).await?;
        let encoded = stored
            .iter()
            .map(|(_, bytes)| bytes)
            .chain(self.unsaved.iter().map(|unsaved| &unsaved.vocabulary));
        let parts = encoded
            .map(|bytes| Vocabulary::from_bytes(bytes))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|error| DbError::Corrupt(error.to_string()))?;
        let words = match <[Vocabulary; 1]>::try_from(parts) {
            Ok([words]) => Arc::new(words),
            Err(parts) => Arc::new(Vocabulary::merged(&parts)),
        };
        *self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner) = Some(CachedVocabulary {
            segments,
            words: Arc::clone(&words),
        });
        Ok(words)
    }
}
