//! Skills whose texts are nearly the same.
//!
//! The index holds a SimHash of the body of each `SKILL.md` (64 bits, see [`skill_search::are_near_duplicates`]). Signatures that
//! differ in at most seven bits have one of their eight bytes in common, so only skills that share a byte are compared.

use std::collections::HashMap;

use skill_search::are_near_duplicates;

use super::catalog::TenantCatalog;
use super::facets::Facets;

/// Skills whose texts are nearly the same: each one as at least one other of the group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NearDuplicates {
    /// The slugs, sorted.
    pub skills: Vec<String>,
}

/// The text of a skill, for [`near_duplicates`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextSignature {
    slug: String,
    signature: u64,
}

impl TenantCatalog {
    /// The signatures of the skills whose text is long enough to be compared, by slug.
    #[must_use]
    pub fn text_signatures(&self) -> Vec<TextSignature> {
        let slots = u32::try_from(self.index.slot_count()).unwrap_or(u32::MAX);
        let mut signatures: Vec<TextSignature> = (0..slots)
            .filter_map(|slot| {
                let (entry, payload) = self.index.document(slot)?;
                let slug = Facets::slug_of(payload)?;
                // Short bodies have none.
                (entry.signature != 0).then(|| TextSignature {
                    slug: slug.to_owned(),
                    signature: entry.signature,
                })
            })
            .collect();
        signatures.sort_unstable_by(|one, other| one.slug.cmp(&other.slug));
        signatures
    }
}

/// Groups of skills whose texts are nearly the same, largest first. Takes time in proportion to the number of pairs that share a
/// byte of their signatures: for `n` skills with different texts about `n² / 64`.
#[must_use]
pub fn near_duplicates(texts: &[TextSignature]) -> Vec<NearDuplicates> {
    // Equal signatures are one node, so that many copies of a text are not compared with each other.
    let mut nodes: HashMap<u64, usize> = HashMap::new();
    let mut signatures = Vec::new();
    let mut members: Vec<Vec<&str>> = Vec::new();
    for text in texts {
        let node = *nodes.entry(text.signature).or_insert_with(|| {
            signatures.push(text.signature);
            members.push(Vec::new());
            signatures.len() - 1
        });
        if let Some(members) = members.get_mut(node) {
            members.push(&text.slug);
        }
    }
    let mut groups = Groups::new(signatures.len());
    for byte in 0..8 {
        let mut buckets: HashMap<u64, Vec<usize>> = HashMap::new();
        for (node, signature) in signatures.iter().enumerate() {
            buckets.entry(byte_of(*signature, byte)).or_default().push(node);
        }
        for bucket in buckets.values() {
            join_similar(byte, bucket, &signatures, &mut groups);
        }
    }
    let mut found: HashMap<usize, Vec<String>> = HashMap::new();
    for (node, members) in members.into_iter().enumerate() {
        let slugs = found.entry(groups.root(node)).or_default();
        slugs.extend(members.into_iter().map(str::to_owned));
    }
    let mut found: Vec<NearDuplicates> = found
        .into_values()
        .filter(|skills| skills.len() > 1)
        .map(|mut skills| {
            skills.sort_unstable();
            NearDuplicates { skills }
        })
        .collect();
    found.sort_unstable_by(|one, other| {
        let larger = other.skills.len().cmp(&one.skills.len());
        larger.then_with(|| one.skills.cmp(&other.skills))
    });
    found
}

/// Joins the nodes of a bucket that are similar. All have the same byte with this number.
fn join_similar(byte: u32, bucket: &[usize], signatures: &[u64], groups: &mut Groups) {
    let of = |node: &usize| signatures.get(*node).copied().unwrap_or_default();
    for (at, one) in bucket.iter().enumerate() {
        let signature = of(one);
        for other in bucket.iter().skip(at + 1) {
            let difference = signature ^ of(other);
            // A pair that shares several bytes is joined by the first.
            if are_near_duplicates(signature, of(other))
                && !(0..byte).any(|byte| byte_of(difference, byte) == 0)
            {
                groups.join(*one, *other);
            }
        }
    }
}

const fn byte_of(bits: u64, number: u32) -> u64 {
    bits >> (8 * number) & 0xff
}

/// Disjoint sets of nodes (union-find).
struct Groups {
    parents: Vec<usize>,
}

impl Groups {
    fn new(count: usize) -> Self {
        Self {
            parents: (0..count).collect(),
        }
    }

    fn root(&mut self, node: usize) -> usize {
        let mut at = node;
        while let Some(parent) = self.parents.get(at).copied()
            && parent != at
        {
            // Halves the path, so that the next look-up is shorter.
            let grandparent = self.parents.get(parent).copied().unwrap_or(parent);
            if let Some(parent) = self.parents.get_mut(at) {
                *parent = grandparent;
            }
            at = grandparent;
        }
        at
    }

    fn join(&mut self, one: usize, other: usize) {
        let (one, other) = (self.root(one), self.root(other));
        if let Some(parent) = self.parents.get_mut(one) {
            *parent = other;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(slug: &str, signature: u64) -> TextSignature {
        TextSignature {
            slug: slug.to_owned(),
            signature,
        }
    }

    fn groups(texts: &[TextSignature]) -> Vec<Vec<String>> {
        near_duplicates(texts)
            .into_iter()
            .map(|group| group.skills)
            .collect()
    }

    #[test]
    fn skills_within_seven_bits_are_one_group() {
        let first = 0x0123_4567_89ab_cdef;
        let texts = [
            text("b", first),
            text("a", first ^ 0b111_1111),
            text("c", first ^ 0x0101_0101_0101_0101),
            text("d", !first),
            text("e", !first),
            text("f", !first ^ 1),
        ];
        assert_eq!(groups(&texts), [vec!["d", "e", "f"], vec!["a", "b"]]);
        assert_eq!(groups(&[]), Vec::<Vec<String>>::new());
    }

    #[test]
    fn group_has_skills_that_are_similar_to_one_of_it() {
        let texts = [
            text("a", 1 << 63),
            text("b", (1 << 63) | 0x7f),
            text("c", (1 << 63) | 0x3f7f),
        ];
        assert_eq!(groups(&texts), [["a", "b", "c"]]);
    }

    proptest! {
        #[test]
        fn every_pair_of_similar_skills_is_in_one_group(
            start in any::<u64>(),
            flips in prop::collection::vec(prop::collection::vec(0..64_u32, 0..12), 1..30),
        ) {
            let texts: Vec<TextSignature> = flips
                .iter()
                .enumerate()
                .map(|(at, bits)| text(&format!("s{at:02}"), bits.iter().fold(start, |all, bit| all ^ (1 << bit))))
                .collect();
            let groups = groups(&texts);
            let group_of = |slug: &str| groups.iter().position(|group| group.iter().any(|one| one == slug));
            for one in &texts {
                for other in &texts {
                    if one.slug < other.slug && are_near_duplicates(one.signature, other.signature) {
                        prop_assert!(group_of(&one.slug).is_some());
                        prop_assert_eq!(group_of(&one.slug), group_of(&other.slug));
                    }
                }
            }
            for group in &groups {
                for slug in group {
                    let one = texts.iter().find(|text| text.slug == *slug).unwrap();
                    let has_neighbour = texts.iter().any(|other| {
                        other.slug != one.slug && group.contains(&other.slug)
                            && are_near_duplicates(one.signature, other.signature)
                    });
                    prop_assert!(has_neighbour);
                }
            }
        }
    }
}
