//! Which skills answer a query best: BM25F over the index, and what was measured to improve on it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::bm25::{
    COVERAGE_EXPONENT, FIELDS, K1, NAME_COVERAGE_EXPONENT, NAME_WEIGHT, PRESENCE, as_f32, occurrence_effects,
    rarity, weight, weight_and_b, weighted_occurrences,
};
use super::index::{Indexed, SearchIndex};
use super::postings::Posting;
use super::query::Query;
use super::{Field, Hit};
use uuid::Uuid;

/// What a skill has gathered so far.
#[derive(Clone, Copy, Default)]
struct Gathered {
    score: f32,
    covered: f32,
    name: f32,
}

/// A skill with its score, in the order of the answer: the best first, then by id, so that pages do not shift.
struct Candidate {
    score: f32,
    skill: Reverse<Uuid>,
    slot: u32,
}

impl PartialEq for Candidate {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Candidate {}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.score
            .total_cmp(&other.score)
            .then_with(|| self.skill.cmp(&other.skill))
    }
}

impl SearchIndex {
    /// The skills that answer `query` best, the best first, at most `limit` of those that `keep` lets through.
    ///
    /// Skills with equal scores are in the order of their ids. `keep` is asked in the order of the answer and no
    /// more often than needed.
    #[must_use]
    pub fn search(&self, query: &Query, limit: usize, keep: impl Fn(Uuid) -> bool) -> Vec<Hit> {
        let mut candidates = self.candidates(query);
        let best = std::iter::from_fn(|| candidates.pop());
        let chosen: Vec<Candidate> = best.filter(|found| keep(found.skill.0)).take(limit).collect();
        let slots: Vec<u32> = chosen.iter().map(|found| found.slot).collect();
        let mut matched = self.matches(query, &slots).into_iter();
        chosen
            .into_iter()
            .map(|found| Hit {
                skill: found.skill.0,
                score: found.score,
                matched: matched.next().unwrap_or_default(),
            })
            .collect()
    }

    fn candidates(&self, query: &Query) -> BinaryHeap<Candidate> {
        let mut gathered = vec![Gathered::default(); self.slots().len()];
        let norms = self.norms();
        let effects = occurrence_effects();
        let mut whole_query = 0.0;
        for term in query.terms() {
            let postings = self.postings(term.key);
            if postings.is_empty() {
                continue;
            }
            let rarity = rarity(self.len(), postings.len());
            let weight = weight(term) * rarity;
            whole_query += rarity;
            for Posting { slot, counts } in postings {
                let slot = *slot as usize;
                let (Some(gathered), Some(norms)) = (gathered.get_mut(slot), norms.get(slot)) else {
                    continue;
                };
                let occurrences = weighted_occurrences(*counts, norms, &effects);
                gathered.score += weight * (occurrences / (K1 + occurrences) + PRESENCE);
                gathered.covered += rarity;
                if counts.get(Field::Name) > 0 {
                    gathered.name += rarity;
                }
            }
        }
        let skills = (0_u32..).zip(self.slots().iter().zip(gathered));
        skills
            .filter(|(_, (_, gathered))| gathered.score > 0.0)
            .filter_map(|(slot, (indexed, gathered))| {
                let indexed = indexed.as_ref()?;
                let coverage = (gathered.covered / whole_query).powf(COVERAGE_EXPONENT);
                let score = gathered.score * coverage + self.name_bonus(indexed, gathered.name);
                Some(Candidate {
                    score,
                    skill: Reverse(indexed.skill),
                    slot,
                })
            })
            .collect()
    }

    /// A name said by the query is what the reader asks for, the more so the less of it was left out.
    fn name_bonus(&self, indexed: &Indexed, said: f32) -> f32 {
        if said <= 0.0 {
            return 0.0;
        }
        let whole: f32 = indexed
            .name_terms()
            .map(|place| rarity(self.len(), self.postings_at(place).len()))
            .sum();
        NAME_WEIGHT * said * (said / whole).powf(NAME_COVERAGE_EXPONENT)
    }

    /// What an occurrence in each field of each skill weighs.
    fn norms(&self) -> Vec<[f32; FIELDS]> {
        let skills = as_f32(self.len() as u64);
        let mut scales = [(0.0, 0.0); FIELDS];
        for ((scale, field), total) in scales.iter_mut().zip(Field::ALL).zip(self.total_lengths()) {
            let (weight, b) = weight_and_b(field);
            let average = as_f32(total) / skills;
            *scale = (
                (1.0 - b) / weight,
                if average > 0.0 { b / average / weight } else { 0.0 },
            );
        }
        let norm = |indexed: &Option<Indexed>| {
            let mut norms = [0.0; FIELDS];
            let lengths = indexed
                .as_ref()
                .map(|indexed| indexed.lengths)
                .unwrap_or_default();
            for ((norm, (base, slope)), length) in norms.iter_mut().zip(scales).zip(lengths) {
                // A field without words has no occurrences that could be weighed.
                *norm = if length > 0 {
                    1.0 / (base + slope * as_f32(u64::from(length)))
                } else {
                    0.0
                };
            }
            norms
        };
        self.slots().iter().map(norm).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::SkillText;
    use super::*;
    use proptest::prelude::*;

    fn id(number: u128) -> Uuid {
        Uuid::from_u128(number)
    }

    fn text<'a>(number: u128, name: &'a str, description: &'a str, body: &'a str) -> SkillText<'a> {
        SkillText {
            skill: id(number),
            name,
            description,
            tags: &[],
            headings: &[],
            body,
        }
    }

    fn index(texts: &[SkillText<'_>]) -> SearchIndex {
        let mut index = SearchIndex::new();
        texts.iter().for_each(|text| index.upsert(text));
        index
    }

    fn found(index: &SearchIndex, query: &str) -> Vec<Uuid> {
        index
            .search(&Query::new(query), 10, |_| true)
            .into_iter()
            .map(|hit| hit.skill)
            .collect()
    }

    #[test]
    fn a_skill_is_found_by_a_sentence_with_some_of_its_words() {
        let index = index(&[
            text(
                1,
                "pdf-tools",
                "Extracts tables from PDF files",
                "Run the script.",
            ),
            text(
                2,
                "git-helper",
                "Writes commit messages",
                "Look at the staged files.",
            ),
        ]);
        let asked = "Could you please extract the (second) table of \"report.pdf\"? [urgent]";
        assert_eq!(found(&index, asked), [id(1)]);
        assert_eq!(found(&index, "commits"), [id(2)]);
        assert_eq!(found(&index, "kubernetes"), [] as [Uuid; 0]);
        assert_eq!(found(&index, ""), [] as [Uuid; 0]);
    }

    #[test]
    fn a_word_in_the_name_tells_more_than_in_the_description_and_that_more_than_in_the_body() {
        let index = index(&[
            text(1, "alpha", "beta gamma", "Deploy it, and no more."),
            text(2, "alpha", "deploy gamma", "Beta, and no more."),
            text(3, "deploy", "beta gamma", "Alpha, and no more."),
        ]);
        assert_eq!(found(&index, "deploy"), [id(3), id(2), id(1)]);
    }

    #[test]
    fn a_name_is_found_joined_or_apart() {
        let index = index(&[
            text(1, "code-review", "Looks at changes", ""),
            text(2, "review-notes", "Notes about code in reviews", ""),
        ]);
        for query in [
            "code review",
            "codereview",
            "CodeReview",
            "code_review",
            "code-review",
        ] {
            assert_eq!(found(&index, query).first(), Some(&id(1)), "{query}");
        }
    }

    #[test]
    fn tags_and_headings_are_found() {
        let (tags, headings) = (["finance".to_owned()], ["Merging cells".to_owned()]);
        let index = index(&[SkillText {
            tags: &tags,
            headings: &headings,
            ..text(1, "xlsx", "", "")
        }]);
        assert_eq!(found(&index, "finance"), [id(1)]);
        assert_eq!(found(&index, "merge cells"), [id(1)]);
    }

    #[test]
    fn a_request_in_chinese_finds_a_skill_in_chinese() {
        let index = index(&[
            text(1, "zhuangxiu", "检查装修合同和报价单", ""),
            text(2, "yiliao", "健康记录", ""),
        ]);
        let hits = index.search(&Query::new("请帮我看装修合同。"), 10, |_| true);
        assert_eq!(hits.iter().map(|hit| hit.skill).collect::<Vec<_>>(), [id(1)]);
        assert_eq!(hits[0].why(9), "description: 装修, 修合, 合同");
    }

    #[test]
    fn a_hit_names_the_words_as_the_reader_wrote_them() {
        let index = index(&[text(1, "pdf", "Extracts tables", "Page by page.")]);
        let hits = index.search(&Query::new("Pages: EXTRACT a Table, PDF!"), 1, |_| true);
        assert_eq!(
            hits[0].why(9),
            "name: PDF; description: EXTRACT, Table; body: Pages"
        );
    }

    #[test]
    fn equal_skills_are_in_the_order_of_their_ids_and_pages_do_not_overlap() {
        let texts: Vec<_> = [4, 2, 5, 1, 3]
            .map(|number| text(number, "pdf", "same", "same"))
            .into();
        let index = index(&texts);
        assert_eq!(found(&index, "pdf"), [1, 2, 3, 4, 5].map(id));
        let page = index.search(&Query::new("pdf"), 2, |_| true);
        assert_eq!(
            page.iter().map(|hit| hit.skill).collect::<Vec<_>>(),
            [1, 2].map(id)
        );
    }

    #[test]
    fn the_limit_counts_what_is_kept() {
        let texts: Vec<_> = (0..20)
            .map(|number| text(number, "pdf", "same", "same"))
            .collect();
        let kept = index(&texts).search(&Query::new("pdf"), 3, |skill| skill > id(9));
        assert_eq!(
            kept.iter().map(|hit| hit.skill).collect::<Vec<_>>(),
            [10, 11, 12].map(id)
        );
    }

    #[test]
    fn repeating_a_word_does_not_beat_an_answer_to_the_whole_request() {
        let stuffed = "deploy ".repeat(5_000);
        let index = index(&[
            text(1, "spam", "Deploy deploy deploy", &stuffed),
            text(
                2,
                "kubernetes",
                "Deploys a service to a cluster",
                "Roll the service out to the cluster.",
            ),
        ]);
        assert_eq!(
            found(&index, "deploy my service to the cluster").first(),
            Some(&id(2))
        );
    }

    #[derive(Debug, Clone)]
    enum Change {
        Upsert(u128, [String; 5]),
        Remove(u128),
    }

    fn change() -> impl Strategy<Value = Change> {
        let words = || "([abc]{1,2}[ .-]){0,6}";
        prop_oneof![
            4 => (0..8_u128, [words(), words(), words(), words(), words()]).prop_map(|(n, t)| Change::Upsert(n, t)),
            1 => (0..8_u128).prop_map(Change::Remove),
        ]
    }

    fn upsert(index: &mut SearchIndex, number: u128, [name, tag, description, heading, body]: &[String; 5]) {
        let (tags, headings) = ([tag.clone()], [heading.clone()]);
        index.upsert(&SkillText {
            skill: id(number),
            name,
            description,
            tags: &tags,
            headings: &headings,
            body,
        });
    }

    proptest! {
        #[test]
        fn an_index_that_was_changed_answers_as_a_fresh_one(
            changes in prop::collection::vec(change(), 0..40),
            query in "([abc]{1,2}[ .-]){1,6}",
        ) {
            let mut changed = SearchIndex::new();
            let mut left = std::collections::BTreeMap::new();
            for change in changes {
                match change {
                    Change::Upsert(number, texts) => {
                        upsert(&mut changed, number, &texts);
                        left.insert(number, texts);
                    }
                    Change::Remove(number) => {
                        changed.remove(id(number));
                        left.remove(&number);
                    }
                }
            }
            let mut fresh = SearchIndex::new();
            left.iter().for_each(|(number, texts)| upsert(&mut fresh, *number, texts));
            prop_assert_eq!(changed.len(), fresh.len());
            let query = Query::new(&query);
            prop_assert_eq!(changed.search(&query, 10, |_| true), fresh.search(&query, 10, |_| true));
        }

        #[test]
        fn no_text_breaks_the_index_or_a_search(
            name in ".{0,20}", body in "\\PC{0,200}", query in ".{0,200}", other in ".{0,40}"
        ) {
            let index = index(&[text(1, &name, &other, &body), text(2, &other, &body, &name)]);
            for asked in [&query, &name, &body] {
                let hits = index.search(&Query::new(asked), 10, |_| true);
                prop_assert!(hits.iter().all(|hit| hit.score.is_finite() && hit.score > 0.0));
                prop_assert!(hits.is_sorted_by(|one, next| one.score >= next.score));
            }
        }
    }
}
