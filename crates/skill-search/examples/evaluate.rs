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

use std::collections::HashMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use skill_search::evaluation::{ndcg_at, percentile, recall_at, relevant_ranks};
use skill_search::{Query, SearchIndex, Weights, search, search_with};

mod support;
use support::{Request, Skills};

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

/// Compares bodies by their pairs of adjacent words.
struct Pairs<'a> {
    skills: &'a Skills,
    cached: HashMap<String, Vec<u64>>,
}

impl<'a> Pairs<'a> {
    fn new(skills: &'a Skills) -> Self {
        Self {
            skills,
            cached: HashMap::new(),
        }
    }

    /// Whether two skills have at least half of their pairs in common.
    fn near(&mut self, one: &str, other: &str) -> bool {
        if one == other {
            return true;
        }
        self.load(one);
        self.load(other);
        let (one, other) = (&self.cached[one], &self.cached[other]);
        let (mut i, mut j, mut common) = (0, 0, 0);
        while i < one.len() && j < other.len() {
            match one[i].cmp(&other[j]) {
                std::cmp::Ordering::Less => i += 1,
                std::cmp::Ordering::Greater => j += 1,
                std::cmp::Ordering::Equal => {
                    common += 1;
                    i += 1;
                    j += 1;
                }
            }
        }
        2 * common >= one.len() + other.len() - common && common > 0
    }

    fn load(&mut self, id: &str) {
        if self.cached.contains_key(id) {
            return;
        }
        let body = self.skills.get(id).map_or("", |document| &document.body);
        let words: Vec<String> = body
            .split(|c: char| !c.is_alphanumeric())
            .filter(|word| !word.is_empty())
            .map(str::to_lowercase)
            .collect();
        let mut pairs: Vec<u64> = words
            .windows(2)
            .map(|pair| {
                pair.iter()
                    .flat_map(|word| word.bytes().chain([0]))
                    .fold(0xcbf2_9ce4_8422_2325, |hash: u64, byte| {
                        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
                    })
            })
            .collect();
        pairs.sort_unstable();
        pairs.dedup();
        self.cached.insert(id.to_owned(), pairs);
    }
}
