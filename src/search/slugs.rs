//! The skills of a tenant by slug.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::OnceLock;

use hashbrown::HashTable;
use hashbrown::hash_table::Entry;
use skill_search::segment::{InvalidSegment, SegmentedIndex};

use super::facets::Facets;

/// More changes at once are ordered together, later.
const MAX_INSERTED: usize = 64;

/// Slots of an index by the slugs of their skills, which stay in the index: a process that starts has 100,000 of them at once.
#[derive(Default)]
pub(super) struct Slugs {
    slots: HashTable<u32>,
    hasher: RandomState,
    /// The slots in the order of their slugs, since a list was asked for.
    ordered: OnceLock<Vec<u32>>,
}

/// The slug of a slot's skill.
fn slug_of(index: &SegmentedIndex, slot: u32) -> Option<&str> {
    let (_, payload) = index.document(slot)?;
    Facets::slug_of(payload)
}

impl Slugs {
    pub(super) fn memory_bytes(&self) -> usize {
        let ordered = self.ordered.get().map_or(0, Vec::capacity);
        self.slots.capacity() * (size_of::<u32>() + 1) + ordered * size_of::<u32>()
    }

    pub(super) fn find(&self, index: &SegmentedIndex, slug: &str) -> Option<u32> {
        let hash = self.hasher.hash_one(slug);
        self.slots
            .find(hash, |slot| slug_of(index, *slot) == Some(slug))
            .copied()
    }

    /// The slots in the order of their slugs, starting after the slug `after`.
    pub(super) fn in_order(&self, index: &SegmentedIndex, after: Option<&str>) -> impl Iterator<Item = u32> {
        let ordered = self.ordered.get_or_init(|| {
            let mut all: Vec<(&str, u32)> = self
                .slots
                .iter()
                .filter_map(|slot| Some((slug_of(index, *slot)?, *slot)))
                .collect();
            all.sort_unstable();
            all.into_iter().map(|(_, slot)| slot).collect()
        });
        let start = after.map_or(0, |after| {
            ordered.partition_point(|slot| slug_of(index, *slot).is_some_and(|slug| slug <= after))
        });
        ordered.iter().skip(start).copied()
    }

    /// Adds skills. Of two with the same slug, that of the older revision was renamed since, and is not found by it any more.
    ///
    /// # Errors
    /// Returns [`InvalidSegment`] if the slug of a skill cannot be read.
    pub(super) fn add(&mut self, index: &SegmentedIndex, slots: &[u32]) -> Result<(), InvalidSegment> {
        if slots.len() > MAX_INSERTED {
            self.ordered.take();
        }
        let Self {
            slots: table,
            hasher,
            ordered,
        } = self;
        let hash_of = |slot: &u32| slug_of(index, *slot).map_or(0, |slug| hasher.hash_one(slug));
        table.reserve(slots.len(), hash_of);
        for &slot in slots {
            let Some((_, payload)) = index.document(slot) else {
                // A later segment of the update has replaced it.
                continue;
            };
            let slug = Facets::slug_of(payload).ok_or(InvalidSegment)?;
            let is_same = |other: &u32| slug_of(index, *other) == Some(slug);
            match table.entry(hasher.hash_one(slug), is_same, hash_of) {
                Entry::Occupied(mut other) => {
                    let old = *other.get();
                    if revision_of(index, old) <= revision_of(index, slot) {
                        *other.get_mut() = slot;
                        let place = ordered.get_mut().and_then(|ordered| {
                            let at = ordered.iter().position(|other| *other == old)?;
                            ordered.get_mut(at)
                        });
                        if let Some(place) = place {
                            *place = slot;
                        }
                    }
                }
                Entry::Vacant(place) => {
                    place.insert(slot);
                    if let Some(ordered) = ordered.get_mut() {
                        let before = |other: &u32| slug_of(index, *other).is_some_and(|other| other < slug);
                        let at = ordered.partition_point(before);
                        ordered.insert(at, slot);
                    }
                }
            }
        }
        Ok(())
    }

    /// Removes a slot whose skill is not in the index any more.
    pub(super) fn remove(&mut self, slot: u32, slug: &str) {
        let hash = self.hasher.hash_one(slug);
        if let Ok(found) = self.slots.find_entry(hash, |other| *other == slot) {
            found.remove();
            if let Some(ordered) = self.ordered.get_mut() {
                ordered.retain(|other| *other != slot);
            }
        }
    }
}

fn revision_of(index: &SegmentedIndex, slot: u32) -> Option<u64> {
    let (entry, _) = index.document(slot)?;
    index.revision_of(entry.id)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use skill_search::segment::SegmentBuilder;
    use skill_search::{Analyzer, Document};

    use super::*;

    /// The slug of each skill after an update; `None`: archived.
    type Update = BTreeMap<u128, Option<u8>>;

    fn apply(index: &mut SegmentedIndex, slugs: &mut Slugs, update: &[(u128, u64, Option<String>)]) {
        let mut added = Vec::new();
        // Each change in a segment of its own, as another process may have stored them.
        for (id, revision, slug) in update {
            let mut builder = SegmentBuilder::new();
            match slug {
                Some(slug) => {
                    let analyzed = Analyzer::new().analyze(&Document {
                        id: *id,
                        name: slug,
                        description: "",
                        tags: &[],
                        headings: &[],
                        body: "",
                    });
                    builder.add(analyzed, *revision, format!("{slug}\0rest").into_bytes().into());
                }
                None => builder.add_removed(*id, *revision),
            }
            let applied = index
                .add_encoded(u128::from(*revision), &builder.finish())
                .unwrap();
            for (slot, payload) in applied.removed {
                slugs.remove(slot, Facets::slug_of(&payload).unwrap());
            }
            added.extend(applied.added);
        }
        slugs.add(index, &added).unwrap();
    }

    fn listed(index: &SegmentedIndex, slugs: &Slugs, after: Option<&str>) -> Vec<String> {
        let order = slugs.in_order(index, after);
        order
            .filter_map(|slot| slug_of(index, slot).map(str::to_owned))
            .collect()
    }

    #[test]
    fn of_two_skills_with_one_slug_the_later_revision_is_found() {
        for changes in [[(1, 1), (2, 2)], [(2, 2), (1, 1)]] {
            let (mut index, mut slugs) = (SegmentedIndex::new(), Slugs::default());
            for (id, revision) in changes {
                apply(
                    &mut index,
                    &mut slugs,
                    &[(id, revision, Some("tides".to_owned()))],
                );
                assert_eq!(listed(&index, &slugs, None), ["tides"]);
            }
            let slot = slugs.find(&index, "tides").unwrap();
            assert_eq!(index.document(slot).unwrap().0.id, 2);
            assert_eq!(slugs.in_order(&index, None).collect::<Vec<_>>(), [slot]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn skills_are_found_and_listed_by_their_latest_slugs(
            updates in prop::collection::vec(
                (prop::collection::btree_map(0..6_u128, prop::option::weighted(0.8, 0..8_u8), 1..6), any::<bool>()),
                0..12,
            ),
        ) {
            let (mut index, mut slugs) = (SegmentedIndex::new(), Slugs::default());
            let mut current = Update::new();
            let mut revision = 0;
            for (update, is_listing) in updates {
                let mut after = current.clone();
                after.extend(update.clone());
                let taken: Vec<u8> = after.values().copied().flatten().collect();
                let distinct: std::collections::BTreeSet<u8> = taken.iter().copied().collect();
                // The database refuses two skills with one slug.
                if distinct.len() != taken.len() {
                    continue;
                }
                let changes: Vec<_> = update
                    .into_iter()
                    .map(|(id, slug)| {
                        revision += 1;
                        (id, revision, slug.map(|slug| format!("s{slug}")))
                    })
                    .collect();
                apply(&mut index, &mut slugs, &changes);
                current = after;
                let mut expected: Vec<String> = current.values().flatten().map(|slug| format!("s{slug}")).collect();
                expected.sort();
                for (id, slug) in &current {
                    if let Some(slug) = slug {
                        let slot = slugs.find(&index, &format!("s{slug}")).unwrap();
                        prop_assert_eq!(index.document(slot).unwrap().0.id, *id);
                    }
                }
                prop_assert_eq!(slugs.find(&index, "unknown"), None);
                if is_listing {
                    prop_assert_eq!(listed(&index, &slugs, None), expected.clone());
                    let later: Vec<String> = expected.iter().filter(|slug| slug.as_str() > "s3").cloned().collect();
                    prop_assert_eq!(listed(&index, &slugs, Some("s3")), later);
                }
            }
        }
    }
}
