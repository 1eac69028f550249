//! Measures the quality and the speed of the ranking on a corpus of real skills, and its quality with other weights.
//!
//! ```sh
//! SKILLKEEP_CORPUS=~/corpus cargo run --release -p skill-search --example evaluate -- [name=number[,name=number…]]…
//! ```
//!
//! Each argument is a variant: `first-stage` leaves out the second stage, `plain` the expansion of queries. Without arguments, only the built-in ones are measured. Of
//! the speed, the best of three rounds counts for each query, so that other programs disturb it little.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement prints, and should stop if the corpus is not as expected"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use skill_search::evaluation::{ndcg_at, percentile, recall_at, relevant_ranks};
use skill_search::{IndexView as _, Query, SearchIndex, Weights, search, search_with};

mod support;
use support::{Pairs, Request};

/// Number of results that are judged.
const K: usize = 10;

fn main() {
    let corpus = support::corpus();
    let skills = support::read_skills(&corpus);
    let requests = support::read_requests(&corpus.join("queries-dev.jsonl.gz"));
    let start = Instant::now();
    let index = support::index(&skills);
    println!(
        "index     {} skills in {:.2} s, {:.0} MB",
        index.len(),
        start.elapsed().as_secs_f64(),
        index.memory_bytes() as f64 / 1e6
    );
    let queries: Vec<Query> = requests
        .iter()
        .map(|request| Query::new(&request.query))
        .collect();
    let expanded: Vec<Query> = queries.iter().map(|query| query.expanded(&index)).collect();
    let mut pairs = Pairs::new(&skills);
    measure(&index, &expanded, &requests, &mut pairs, Weights::builtin());
    for argument in std::env::args().skip(1) {
        let mut weights = Weights::builtin().clone();
        for assignment in argument.split(',') {
            if assignment == "first-stage" {
                weights.second_stage = [0.0; skill_search::FEATURES.len()];
            } else if assignment != "plain" {
                weights.set(assignment).unwrap();
            }
        }
        println!("{argument}");
        let queries = if argument == "plain" { &queries } else { &expanded };
        measure(&index, queries, &requests, &mut pairs, &weights);
    }
    measure_speed(&index, &requests);
    measure_signatures(&index, &mut pairs);
}

/// Compares the signatures of bodies with the pairs of words that they have in common.
fn measure_signatures(index: &SearchIndex<&str>, pairs: &mut Pairs<'_>) {
    let slots = (0..index.slot_count()).filter_map(|slot| index.document(u32::try_from(slot).ok()?));
    let documents: Vec<(&str, u64)> = slots.map(|document| (document.id, document.signature)).collect();
    // By number of different bits: pairs of documents, and how many of them are nearly the same.
    let mut counts = [[0_u32; 2]; 17];
    for (at, (one, signature)) in documents.iter().enumerate() {
        for (other, other_signature) in &documents[at + 1..] {
            let bits = (signature ^ other_signature).count_ones() as usize;
            if bits < counts.len() {
                counts[bits][0] += 1;
                counts[bits][1] += u32::from(pairs.near(one, other));
            }
        }
    }
    for (bits, [all, near]) in counts.into_iter().enumerate() {
        println!("{bits:>2} bits differ: {all} pairs of documents, {near} of them nearly the same");
    }
}

fn measure(
    index: &SearchIndex<&str>,
    queries: &[Query],
    requests: &[Request],
    pairs: &mut Pairs<'_>,
    weights: &Weights,
) {
    // Per request: half, ranks of the right skill, rank of the first that is nearly the same.
    let mut results: Vec<(usize, Vec<usize>, Vec<usize>)> = Vec::new();
    for (request, query) in requests.iter().zip(queries) {
        let hits = search_with(index, query, K, |_| true, weights);
        let ids: Vec<&str> = hits.iter().map(|hit| hit.id).collect();
        let ranks = relevant_ranks(ids.iter(), |id| **id == request.skill);
        let near = (1..).zip(&ids).find(|(_, id)| pairs.near(id, &request.skill));
        let near = near.map(|(rank, _)| rank).into_iter().collect();
        results.push((support::half(&request.skill), ranks, near));
    }
    for (title, half) in [("all", None), ("half A", Some(0)), ("half B", Some(1))] {
        let of: Vec<_> = results
            .iter()
            .filter(|(of, _, _)| half.is_none_or(|half| half == *of))
            .collect();
        let interval = |values: Vec<f64>| {
            let (mean, half_width) = support::mean_with_interval(&values);
            format!("{mean:.4} ±{half_width:.4}")
        };
        println!(
            "{title:<9} nDCG@{K} {}   Recall@{K} {}   near-duplicates right: {}   of {}",
            interval(of.iter().map(|(_, ranks, _)| ndcg_at(K, ranks, 1)).collect()),
            interval(of.iter().map(|(_, ranks, _)| recall_at(K, ranks, 1)).collect()),
            interval(of.iter().map(|(_, _, near)| ndcg_at(K, near, 1)).collect()),
            of.len()
        );
    }
}

fn measure_speed(index: &SearchIndex<&str>, requests: &[Request]) {
    let mut times: [Vec<Duration>; 3] = Default::default();
    for request in requests {
        let mut best = [Duration::MAX; 3];
        for _ in 0..3 {
            let start = Instant::now();
            let query = Query::new(&request.query);
            let parsed = Instant::now();
            let query = query.expanded(index);
            let expanded = Instant::now();
            black_box(search(index, &query, K, |_| true));
            let rounds = [parsed - start, expanded - parsed, expanded.elapsed()];
            for (best, time) in best.iter_mut().zip(rounds) {
                *best = time.min(*best);
            }
        }
        for (times, time) in times.iter_mut().zip(best) {
            times.push(time);
        }
    }
    let total = (0..requests.len())
        .map(|at| times.iter().map(|times| times[at]).sum())
        .collect();
    let slowest = (0..requests.len())
        .max_by_key(|at| times[2][*at])
        .unwrap_or_default();
    println!("the slowest query to rank: {}", requests[slowest].query);
    let [parse, expand, rank] = times;
    for (title, times) in [
        ("parse", parse),
        ("expand", expand),
        ("rank", rank),
        ("a query", total),
    ] {
        let at = |share| percentile(&times, share).unwrap_or_default().as_secs_f64() * 1e3;
        println!(
            "{title:<9} p50 {:.3} ms   p99 {:.3} ms   max {:.3} ms",
            at(0.5),
            at(0.99),
            at(1.0)
        );
    }
}
