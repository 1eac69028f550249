//! Ranks documents: BM25F (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009,
//! section 3.6), which sums the occurrences of a term over the fields, weighted and normalised by length, before it
//! saturates the sum. Phrase terms, the preference for covering the query, and the name bonus are additions that
//! improved the measured quality.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::bm25::{
    COVERAGE_EXPONENT, FieldWeights, K1, NAME_COVERAGE_EXPONENT, NAME_WEIGHT, PRESENCE_BONUS, idf,
    term_weight,
};
use crate::document::Field;
use crate::hit::Hit;
use crate::matches::matches;
use crate::postings::Posting;
use crate::query::Query;
use crate::view::{DocumentEntry, IndexView};

/// Sums over the query's terms that a document contains.
#[derive(Clone, Copy, Default)]
struct Accumulator {
    score: f32,
    matched_idf: f32,
    /// The part of `matched_idf` from terms in the name.
    name_idf: f32,
}

/// A matching document. The greatest is the best: the highest score, then the lowest ID, so that pages are stable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Candidate<Id> {
    /// Positive floats are ordered like their bits.
    score_bits: u32,
    id: Reverse<Id>,
    slot: u32,
}

/// Returns the best `limit` documents for which `filter` is true, best first. Equal scores are ordered by ID.
///
/// The view must have the postings of [`Query::keys`]. Calls `filter` in the order of the results, and only until the
/// limit is reached.
#[must_use]
pub fn search<V: IndexView>(
    view: &V,
    query: &Query,
    limit: usize,
    filter: impl Fn(V::Id) -> bool,
) -> Vec<Hit<V::Id>> {
    let mut candidates = candidates(view, query);
    let best_first = std::iter::from_fn(|| candidates.pop());
    let chosen: Vec<Candidate<V::Id>> = best_first
        .filter(|candidate| filter(candidate.id.0))
        .take(limit)
        .collect();
    let slots: Vec<u32> = chosen.iter().map(|candidate| candidate.slot).collect();
    chosen
        .into_iter()
        .zip(matches(view, query, &slots))
        .map(|(candidate, matched)| Hit {
            id: candidate.id.0,
            score: f32::from_bits(candidate.score_bits),
            matched,
        })
        .collect()
}

fn candidates<V: IndexView>(view: &V, query: &Query) -> BinaryHeap<Candidate<V::Id>> {
    let mut accumulators = vec![Accumulator::default(); view.slot_count()];
    let weights = FieldWeights::new(view.len(), view.total_lengths());
    let mut query_idf = 0.0;
    for term in query.terms() {
        let postings = view.postings(term.key);
        if postings.is_empty() {
            continue;
        }
        let idf = idf(view.len(), postings.len());
        let weight = term_weight(term) * idf;
        query_idf += idf;
        for Posting { slot, counts } in postings {
            let (Some(sums), Some(document)) = (accumulators.get_mut(*slot as usize), view.document(*slot))
            else {
                continue;
            };
            let occurrences = weights.occurrences(*counts, &document.lengths);
            sums.score += weight * (occurrences / (K1 + occurrences) + PRESENCE_BONUS);
            sums.matched_idf += idf;
            if counts.get(Field::Name) > 0 {
                sums.name_idf += idf;
            }
        }
    }
    (0_u32..)
        .zip(accumulators)
        .filter(|(_, sums)| sums.score > 0.0)
        .filter_map(|(slot, sums)| {
            let document = view.document(slot)?;
            let coverage = (sums.matched_idf / query_idf).powf(COVERAGE_EXPONENT);
            let score = sums.score * coverage + name_bonus(view, document, sums.name_idf);
            Some(Candidate {
                score_bits: score.to_bits(),
                id: Reverse(document.id),
                slot,
            })
        })
        .collect()
}

/// The bonus for a document whose name occurs in the query, higher if more of the name does. `matched_idf` is the sum
/// over the name's terms that the query contains.
fn name_bonus<V: IndexView>(view: &V, document: &DocumentEntry<V::Id>, matched_idf: f32) -> f32 {
    if matched_idf <= 0.0 {
        return 0.0;
    }
    let name_idf: f32 = document
        .name_keys
        .iter()
        .map(|key| idf(view.len(), view.name_frequency(*key) as usize))
        .sum();
    NAME_WEIGHT * matched_idf * (matched_idf / name_idf).powf(NAME_COVERAGE_EXPONENT)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::document::Document;
    use crate::index::SearchIndex;

    fn text<'a>(id: u128, name: &'a str, description: &'a str, body: &'a str) -> Document<'a, u128> {
        Document {
            id,
            name,
            description,
            tags: &[],
            headings: &[],
            body,
        }
    }

    fn index(documents: &[Document<'_, u128>]) -> SearchIndex<u128> {
        let mut index = SearchIndex::new();
        documents.iter().for_each(|document| index.upsert(document));
        index
    }

    fn found(index: &SearchIndex<u128>, query: &str) -> Vec<u128> {
        index
            .search(&Query::new(query), 10, |_| true)
            .into_iter()
            .map(|hit| hit.id)
            .collect()
    }

    #[test]
    fn sentence_finds_document_with_some_of_its_words() {
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
        assert_eq!(found(&index, asked), [1]);
        assert_eq!(found(&index, "commits"), [2]);
        assert_eq!(found(&index, "kubernetes"), [0_u128; 0]);
        assert_eq!(found(&index, ""), [0_u128; 0]);
    }

    #[test]
    fn name_ranks_above_description_above_body() {
        let index = index(&[
            text(1, "alpha", "beta gamma", "Deploy it, and no more."),
            text(2, "alpha", "deploy gamma", "Beta, and no more."),
            text(3, "deploy", "beta gamma", "Alpha, and no more."),
        ]);
        assert_eq!(found(&index, "deploy"), [3, 2, 1]);
    }

    #[test]
    fn compound_name_is_found_joined_or_apart() {
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
            assert_eq!(found(&index, query).first(), Some(&1), "{query}");
        }
    }

    #[test]
    fn tags_and_headings_are_found() {
        let (tags, headings) = (["finance".to_owned()], ["Merging cells".to_owned()]);
        let index = index(&[Document {
            tags: &tags,
            headings: &headings,
            ..text(1, "xlsx", "", "")
        }]);
        assert_eq!(found(&index, "finance"), [1]);
        assert_eq!(found(&index, "merge cells"), [1]);
    }

    #[test]
    fn chinese_request_finds_chinese_document() {
        let index = index(&[
            text(1, "zhuangxiu", "检查装修合同和报价单", ""),
            text(2, "yiliao", "健康记录", ""),
        ]);
        let hits = index.search(&Query::new("请帮我看装修合同。"), 10, |_| true);
        assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [1]);
        assert_eq!(hits[0].why(9), "description: 装修, 修合, 合同");
    }

    #[test]
    fn why_shows_words_as_written_in_the_query() {
        let index = index(&[text(1, "pdf", "Extracts tables", "Page by page.")]);
        let hits = index.search(&Query::new("Pages: EXTRACT a Table, PDF!"), 1, |_| true);
        assert_eq!(
            hits[0].why(9),
            "name: PDF; description: EXTRACT, Table; body: Pages"
        );
    }

    #[test]
    fn equal_scores_are_ordered_by_id() {
        let texts: Vec<_> = [4, 2, 5, 1, 3]
            .map(|number| text(number, "pdf", "same", "same"))
            .into();
        let index = index(&texts);
        assert_eq!(found(&index, "pdf"), [1, 2, 3, 4, 5]);
        let page = index.search(&Query::new("pdf"), 2, |_| true);
        assert_eq!(page.iter().map(|hit| hit.id).collect::<Vec<_>>(), [1, 2]);
    }

    #[test]
    fn limit_applies_after_the_filter() {
        let texts: Vec<_> = (0..20)
            .map(|number| text(number, "pdf", "same", "same"))
            .collect();
        let kept = index(&texts).search(&Query::new("pdf"), 3, |id| id > 9);
        assert_eq!(kept.iter().map(|hit| hit.id).collect::<Vec<_>>(), [10, 11, 12]);
    }

    #[test]
    fn repeating_one_word_does_not_beat_covering_the_request() {
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
            Some(&2)
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

    fn upsert(
        index: &mut SearchIndex<u128>,
        id: u128,
        [name, tag, description, heading, body]: &[String; 5],
    ) {
        let (tags, headings) = ([tag.clone()], [heading.clone()]);
        index.upsert(&Document {
            id,
            name,
            description,
            tags: &tags,
            headings: &headings,
            body,
        });
    }

    proptest! {
        #[test]
        fn changed_index_gives_same_results_as_new_one(
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
                        changed.remove(number);
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
        fn any_text_can_be_indexed_and_searched(
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
