//! Ranks documents in two stages.
//!
//! The first is BM25F (Robertson and Zaragoza, "The Probabilistic Relevance Framework: BM25 and Beyond", 2009, section
//! 3.6), which sums the occurrences of a term over the fields, weighted and normalised by length, before it saturates the
//! sum. Phrase terms, the preference for covering the query, and the name bonus are additions that improved the measured
//! quality. The second stage orders the best documents of the first again, see [`second_stage`](crate::second_stage).

use std::cmp::Reverse;

use crate::accumulate::accumulate;
use crate::best::{BestDocuments, Descending};
use crate::evidence::{Evidence, collect};
use crate::hit::Hit;
use crate::live_term::{LiveTerm, live_groups};
use crate::query::Query;
use crate::ranked::Ranked;
use crate::scoring::{Scoring, name_idf};
use crate::second_stage::{self, Features};
use crate::term::TermKey;
use crate::view::IndexView;
use crate::weights::Weights;

/// Number of documents that the second stage orders.
const SECOND_STAGE_DOCUMENTS: usize = 60;
/// Returns the best `limit` documents for which `filter` is true, best first. Equal scores are ordered by ID.
///
/// The view must have the postings of [`Query::keys`]. Calls `filter` for the documents that can be among the best 60 of the first
/// stage, or the best `limit` if that is more.
#[must_use]
pub fn search<V: IndexView>(
    view: &V,
    query: &Query,
    limit: usize,
    filter: impl Fn(V::Id) -> bool,
) -> Vec<Hit<V::Id>> {
    search_with(view, query, limit, filter, Weights::builtin())
}

/// [`search`] with other weights, to measure them.
#[must_use]
pub fn search_with<V: IndexView>(
    view: &V,
    query: &Query,
    limit: usize,
    filter: impl Fn(V::Id) -> bool,
    weights: &Weights,
) -> Vec<Hit<V::Id>> {
    let groups = live_groups(view, query, weights);
    let mut chosen = first_stage(view, query, &groups, weights, limit, filter);
    let mut evidence = collect(view, &groups, chosen.iter().map(|ranked| ranked.slot));
    if weights.second_stage.iter().any(|weight| *weight != 0.0) {
        let second = chosen.len().min(SECOND_STAGE_DOCUMENTS);
        let features = features(view, query, &groups, &chosen, &evidence, second);
        second_stage::reorder(&mut chosen, &mut evidence, &features, weights);
    }
    chosen.truncate(limit);
    chosen
        .into_iter()
        .zip(&evidence)
        .map(|(ranked, evidence)| {
            let (matched, corrected) = evidence.matches(query, &groups);
            Hit {
                id: ranked.id,
                score: ranked.score,
                is_named: ranked.exactness > 0,
                matched,
                corrected,
                signature: view
                    .document(ranked.slot)
                    .map_or(0, |document| document.signature),
            }
        })
        .collect()
}

/// The documents that the second stage orders, with their features, to train its weights.
#[must_use]
pub fn second_stage_features<V: IndexView>(
    view: &V,
    query: &Query,
    weights: &Weights,
) -> Vec<(V::Id, Features)> {
    let groups = live_groups(view, query, weights);
    let chosen = first_stage(view, query, &groups, weights, SECOND_STAGE_DOCUMENTS, |_| true);
    let evidence = collect(view, &groups, chosen.iter().map(|ranked| ranked.slot));
    let features = features(view, query, &groups, &chosen, &evidence, chosen.len());
    chosen.into_iter().map(|ranked| ranked.id).zip(features).collect()
}

fn features<V: IndexView>(
    view: &V,
    query: &Query,
    groups: &[Vec<LiveTerm<'_>>],
    chosen: &[Ranked<V::Id>],
    evidence: &[Evidence],
    count: usize,
) -> Vec<Features> {
    let best_score = chosen.iter().map(|ranked| ranked.own_score).fold(0.0, f32::max);
    let [.., body_terms] = view.total_lengths();
    let average_body = body_terms as f32 / view.len() as f32;
    let totals = second_stage::QueryTotals::new(groups, best_score, query.words, average_body);
    chosen
        .iter()
        .zip(evidence)
        .take(count)
        .filter_map(|(ranked, evidence)| {
            let lengths = view.lengths(ranked.slot)?;
            let name_share = evidence.name_share(groups, name_idf(view, ranked.slot));
            Some(second_stage::features(
                &totals,
                groups,
                lengths,
                evidence,
                ranked.own_score,
                name_share,
            ))
        })
        .collect()
}

/// The best documents by the first stage: at least [`SECOND_STAGE_DOCUMENTS`], if so many match.
///
/// A score needs powers and the frequencies of the words in the document's name, so only those documents get one whose upper
/// bound is high enough.
fn first_stage<V: IndexView>(
    view: &V,
    query: &Query,
    groups: &[Vec<LiveTerm<'_>>],
    weights: &Weights,
    limit: usize,
    filter: impl Fn(V::Id) -> bool,
) -> Vec<Ranked<V::Id>> {
    let wanted = limit.max(SECOND_STAGE_DOCUMENTS);
    let scoring = Scoring::new(view, query, groups, weights);
    let sums = accumulate(view, groups, weights);
    let exact = exact_slots(view, query);
    let bounds = (0_u32..)
        .zip(&sums)
        .filter(|(_, sums)| sums.score > 0.0)
        .map(|(slot, sums)| (slot, scoring.upper_bound(sums)));
    let mut best = BestDocuments::new(wanted);
    let mut highest_score = 0.0_f32;
    for (slot, bound) in Descending::new(bounds, wanted) {
        if best.excludes(bound) && highest_score >= bound {
            break;
        }
        let (Some(sums), Some(document)) = (sums.get(slot as usize), view.document(slot)) else {
            continue;
        };
        let score = scoring.score(slot, sums);
        highest_score = highest_score.max(score);
        if filter(document.id) {
            best.add(score, document.id, slot);
        }
    }
    // An exact name is above everything else. It may consist of words that are not indexed.
    let step = highest_score.max(1.0);
    let named = exact.into_iter().filter_map(|(slot, exactness)| {
        let id = view.document(slot)?.id;
        let sums = sums.get(slot as usize).filter(|sums| sums.score > 0.0);
        let own_score = sums.map_or(0.0, |sums| scoring.score(slot, sums));
        filter(id).then_some(Ranked {
            id,
            slot,
            exactness,
            own_score,
            score: own_score + step * f32::from(exactness),
        })
    });
    let mut ranked: Vec<Ranked<V::Id>> = named.collect();
    for (score, id, slot) in best.into_documents() {
        if ranked
            .iter()
            .all(|named| named.exactness == 0 || named.slot != slot)
        {
            ranked.push(Ranked {
                id,
                slot,
                exactness: 0,
                own_score: score,
                score,
            });
        }
    }
    ranked.sort_unstable_by_key(|ranked| {
        let by_score = Reverse((ranked.exactness, ranked.score.to_bits()));
        (by_score, ranked.id)
    });
    ranked.truncate(wanted);
    ranked
}

/// The documents whose name is the query: 2 for the same words, 1 for the same letters.
fn exact_slots<V: IndexView>(view: &V, query: &Query) -> Vec<(u32, u8)> {
    let mut exact: Vec<(u32, u8)> = Vec::new();
    for (key, exactness) in [(query.name.literal, 2), (query.name.compact, 1)] {
        if key == TermKey::EMPTY {
            continue;
        }
        for posting in view.postings(key) {
            if exact.iter().all(|(slot, _)| *slot != posting.slot) {
                exact.push((posting.slot, exactness));
            }
        }
    }
    exact
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
    fn name_of_stop_words_is_found() {
        let index = index(&[text(1, "how-to", "", ""), text(2, "i-am", "How to do it", "")]);
        for query in ["how to", "How-To", "howto"] {
            let hits = index.search(&Query::new(query), 10, |_| true);
            assert_eq!(hits.first().map(|hit| hit.id), Some(1), "{query}");
            assert!(hits.iter().all(|hit| hit.score.is_finite() && hit.score > 0.0));
        }
    }

    #[test]
    fn exact_name_is_first_however_written() {
        let mut texts = vec![
            text(1, "code-review", "Looks at changes", ""),
            text(2, "codereview", "Another", ""),
            text(
                3,
                "code-review-code-review",
                "Code review, codereview",
                "Code review of a code review",
            ),
            text(4, "review", "Code review of code", "code review code review"),
        ];
        texts.extend((5..90).map(|id| text(id, "code-review-helper", "Code review", "code review")));
        let index = index(&texts);
        for (query, first) in [
            ("code-review", 1),
            ("Code Review", 1),
            ("CODE_REVIEW", 1),
            ("codereview", 2),
            ("CodeReview", 2),
            ("Review", 4),
        ] {
            let found = found(&index, query);
            assert_eq!(found.first(), Some(&first), "{query}");
        }
        assert_eq!(found(&index, "CodeReview").get(1), Some(&1));
        for (query, expected) in [
            ("codereview", [2, 1].as_slice()),
            ("review", &[4]),
            ("changes", &[]),
        ] {
            let hits = index.search(&Query::new(query), 100, |_| true);
            let named: Vec<u128> = hits.iter().filter(|hit| hit.is_named).map(|hit| hit.id).collect();
            assert_eq!(named, expected, "{query}");
        }
    }

    #[test]
    fn misspelt_words_are_corrected_and_named() {
        let index = index(&[
            text(1, "harpsichord", "Tunes a harpsichord", ""),
            text(2, "piano", "Tunes a piano", ""),
        ]);
        let hits = index.search(&Query::new("tune my harpsicord"), 10, |_| true);
        assert_eq!(hits[0].id, 1);
        assert_eq!(hits[0].why(9), "name: harpsicord; description: tune");
        let corrected: Vec<_> = hits[0]
            .corrected
            .iter()
            .map(|correction| (correction.written.as_str(), correction.word.as_str()))
            .collect();
        assert_eq!(corrected, [("harpsicord", "harpsichord")]);
        assert!(hits[1].corrected.is_empty());
        // The word as written is not corrected, and counts more.
        let hits = index.search(&Query::new("harpsichord"), 10, |_| true);
        assert!(hits[0].corrected.is_empty());
    }

    #[test]
    fn unfinished_words_are_completed() {
        let index = index(&[
            text(1, "kubernetes-deploy", "Rolls out services", ""),
            text(2, "git-helper", "Writes commit messages", ""),
        ]);
        for query in ["kube", "kubern", "kubernetes-dep", "service kub"] {
            assert_eq!(found(&index, query), [1], "{query}");
        }
        assert_eq!(found(&index, "comm"), [2]);
        // A sentence is finished.
        assert_eq!(found(&index, "kub."), [0_u128; 0]);
    }

    #[test]
    fn joined_and_split_words_are_found() {
        let index = index(&[
            text(1, "testing-strategies", "Plans what to verify", ""),
            text(2, "notes", "Keeps a database of notes", ""),
            text(3, "other", "Reads long documents", ""),
        ]);
        assert_eq!(found(&index, "testingstrategies").first(), Some(&1));
        assert_eq!(found(&index, "TestingStrategies").first(), Some(&1));
        assert_eq!(found(&index, "strategies testing").first(), Some(&1));
        assert_eq!(found(&index, "data base").first(), Some(&2));
        assert_eq!(found(&index, "longdocuments").first(), Some(&3));
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
        fn first_stage_finds_the_best_of_all_scores(
            texts in prop::collection::vec(["([abcd]{1,2}[ .-]){1,3}", "([abcd]{1,2}[ .-]){0,6}"], 61..140),
            query in "([abcd]{1,2}[ .-]){1,6}",
            divisor in 1..4_u128,
        ) {
            let mut index = SearchIndex::new();
            for (id, [name, body]) in (0_u128..).zip(&texts) {
                index.upsert(&text(id, name, "", body));
            }
            let (query, weights) = (Query::new(&query), Weights::builtin());
            let groups = live_groups(&index, &query, weights);
            let passes = |id: u128| id.is_multiple_of(divisor);
            let scoring = Scoring::new(&index, &query, &groups, weights);
            let mut scores: Vec<(f32, u128)> = (0_u32..)
                .zip(accumulate(&index, &groups, weights))
                .filter(|(_, sums)| sums.score > 0.0)
                .map(|(slot, sums)| (scoring.score(slot, &sums), index.document(slot).unwrap().id))
                .filter(|(_, id)| passes(*id))
                .collect();
            let found = first_stage(&index, &query, &groups, weights, 10, passes);
            let exact = found.iter().filter(|ranked| ranked.exactness > 0).count();
            scores.retain(|(_, id)| found[..exact].iter().all(|ranked| ranked.id != *id));
            scores.sort_by(|one, other| other.0.total_cmp(&one.0).then(one.1.cmp(&other.1)));
            scores.truncate(SECOND_STAGE_DOCUMENTS - exact.min(SECOND_STAGE_DOCUMENTS));
            let found: Vec<(f32, u128)> = found.iter().skip(exact).map(|ranked| (ranked.score, ranked.id)).collect();
            prop_assert_eq!(found, scores);
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
