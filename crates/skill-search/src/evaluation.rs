//! Measures of search quality, for requests whose relevant documents are known.
//!
//! Relevance is binary. All measures take the ranks of the relevant documents in the results, see [`relevant_ranks`].
//!
//! # Examples
//! ```
//! use skill_search::evaluation::{mean, ndcg_at, recall_at, reciprocal_rank, relevant_ranks};
//!
//! // The results of two requests. Document 7 is the only relevant one for both.
//! let results = [[7, 1, 2], [3, 7, 4]];
//! let ranks = results.map(|ids| relevant_ranks(ids, |id| *id == 7));
//! assert_eq!(ranks, [vec![1], vec![2]]);
//! assert_eq!(mean(ranks.iter().map(|ranks| reciprocal_rank(ranks))), 0.75);
//! assert_eq!(mean(ranks.iter().map(|ranks| recall_at(1, ranks, 1))), 0.5);
//! assert!(mean(ranks.iter().map(|ranks| ndcg_at(10, ranks, 1))) > 0.8);
//! ```

/// The ranks of the relevant documents among `results`, ascending. The first result has rank 1.
pub fn relevant_ranks<Id>(
    results: impl IntoIterator<Item = Id>,
    is_relevant: impl Fn(&Id) -> bool,
) -> Vec<usize> {
    (1..)
        .zip(results)
        .filter(|(_, id)| is_relevant(id))
        .map(|(rank, _)| rank)
        .collect()
}

/// Normalised discounted cumulative gain of the first `k` results, 0 to 1 (Järvelin and Kekäläinen 2002, with binary
/// gains). `relevant` is the number of relevant documents that exist.
#[must_use]
pub fn ndcg_at(k: usize, ranks: &[usize], relevant: usize) -> f64 {
    let dcg: f64 = ranks
        .iter()
        .filter(|rank| **rank <= k)
        .map(|rank| discount(*rank))
        .sum();
    let ideal_dcg: f64 = (1..=relevant.min(k)).map(discount).sum();
    ratio(dcg, ideal_dcg)
}

/// Share of the `relevant` documents that are among the first `k` results.
#[must_use]
pub fn recall_at(k: usize, ranks: &[usize], relevant: usize) -> f64 {
    let found = ranks.iter().filter(|rank| **rank <= k).count();
    ratio(found as f64, relevant as f64)
}

/// 1 / rank of the first relevant document; 0 if there is none. The mean over all requests is the MRR.
#[must_use]
pub fn reciprocal_rank(ranks: &[usize]) -> f64 {
    ranks.iter().min().map_or(0.0, |rank| 1.0 / *rank as f64)
}

/// Arithmetic mean; 0 if there are no values.
pub fn mean(values: impl IntoIterator<Item = f64>) -> f64 {
    let (sum, count) = values
        .into_iter()
        .fold((0.0, 0_usize), |(sum, count), value| (sum + value, count + 1));
    ratio(sum, count as f64)
}

/// The smallest value that at least `share` (0 to 1) of the values do not exceed (nearest-rank percentile). `None` if
/// there are no values.
#[must_use]
pub fn percentile<T: Copy + Ord>(values: &[T], share: f64) -> Option<T> {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    // A share outside of 0 to 1 is clamped: the cast saturates at 0, `min` at the last value.
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted
        .get(rank.saturating_sub(1).min(sorted.len().saturating_sub(1)))
        .copied()
}

fn discount(rank: usize) -> f64 {
    1.0 / (rank as f64 + 1.0).log2()
}

fn ratio(numerator: f64, denominator: f64) -> f64 {
    if denominator > 0.0 {
        numerator / denominator
    } else {
        0.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_close(actual: f64, expected: f64) {
        assert!((actual - expected).abs() < 1e-12, "{actual} is not {expected}");
    }

    #[test]
    fn relevant_ranks_start_at_one() {
        assert_eq!(relevant_ranks(["a", "b", "c"], |id| *id != "b"), [1, 3]);
        assert_eq!(relevant_ranks(["a"], |_| false), [0_usize; 0]);
    }

    #[test]
    fn ndcg_of_one_relevant_document_is_its_discount() {
        // 1 / log2(rank + 1)
        for (rank, expected) in [(1, 1.0), (3, 0.5), (7, 1.0 / 3.0), (10, 0.289_064_826_317_888)] {
            assert_close(ndcg_at(10, &[rank], 1), expected);
        }
        assert_close(ndcg_at(10, &[11], 1), 0.0);
        assert_close(ndcg_at(10, &[], 1), 0.0);
    }

    #[test]
    fn ndcg_is_relative_to_the_ideal_order() {
        // Ranks 1, 3 of 3 relevant documents: (1 + 1/2) / (1 + 1/log2(3) + 1/2) = 1.5 / 2.1309297535714573
        assert_close(ndcg_at(5, &[1, 3], 3), 0.703_918_089_034_135);
        // The ideal order of the first result has one document, although three are relevant.
        assert_close(ndcg_at(1, &[1, 3], 3), 1.0);
        assert_close(ndcg_at(5, &[1, 2, 3], 3), 1.0);
        assert_close(ndcg_at(5, &[], 0), 0.0);
        assert_close(ndcg_at(0, &[1], 1), 0.0);
    }

    #[test]
    fn recall_counts_relevant_documents_up_to_k() {
        assert_close(recall_at(3, &[1, 3, 4], 4), 0.5);
        assert_close(recall_at(10, &[1, 3, 4], 4), 0.75);
        assert_close(recall_at(10, &[], 4), 0.0);
        assert_close(recall_at(10, &[], 0), 0.0);
    }

    #[test]
    fn reciprocal_rank_is_of_the_first_relevant_document() {
        assert_close(reciprocal_rank(&[4, 9]), 0.25);
        assert_close(reciprocal_rank(&[]), 0.0);
        // MRR of ranks 1, 2 and none: (1 + 1/2 + 0) / 3
        let requests: [&[usize]; 3] = [&[1], &[2], &[]];
        assert_close(mean(requests.map(reciprocal_rank)), 0.5);
    }

    #[test]
    fn mean_of_no_values_is_zero() {
        assert_close(mean([]), 0.0);
        assert_close(mean([1.0, 2.0, 6.0]), 3.0);
    }

    #[test]
    fn percentile_is_the_nearest_rank() {
        let values = [15, 20, 35, 40, 50];
        for (share, expected) in [
            (0.05, 15),
            (0.3, 20),
            (0.4, 20),
            (0.5, 35),
            (1.0, 50),
            (0.0, 15),
            (2.0, 50),
            (-1.0, 15),
        ] {
            assert_eq!(percentile(&values, share), Some(expected), "{share}");
        }
        assert_eq!(percentile(&[9, 1], 0.5), Some(1));
        assert_eq!(percentile::<u32>(&[], 0.5), None);
    }
}
