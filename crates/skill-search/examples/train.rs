//! Learns the weights of the second stage from one half of the requests, and checks them on the other.
//!
//! For each request, the weights give each of the best documents of the first stage a probability (softmax of the
//! weighted sums of their features); those that make the right skill most probable are found by gradient descent (Adam).
//! Prints lines for `weights.txt`.
//!
//! ```sh
//! SKILLKEEP_CORPUS=~/corpus cargo run --release -p skill-search --example train -- [name=number[,name=number…]]…
//! ```
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement prints, and should stop if the corpus is not as expected"
)]

use skill_search::evaluation::{mean, ndcg_at, recall_at};
use skill_search::{FEATURES, Features, Query, SearchIndex, Weights, second_stage_features};

mod support;
use support::Request;

const ROUNDS: i32 = 400;
const STEP: f64 = 0.05;
/// Strength with which weights are kept small.
const DECAY: f64 = 1e-4;
const COUNT: usize = FEATURES.len();

/// The documents of a request.
struct Example {
    half: usize,
    documents: Vec<Features>,
    /// Index of the right document, if the first stage found it.
    right: Option<usize>,
}

fn main() {
    let corpus = support::corpus();
    let skills = support::read_skills(&corpus);
    let index = support::index(&skills);
    let requests = support::read_requests(&corpus.join("queries-dev.jsonl.gz"));
    let mut variants: Vec<String> = std::env::args().skip(1).collect();
    if variants.is_empty() {
        variants.push(String::new());
    }
    for variant in variants {
        let mut weights = Weights::builtin().clone();
        for assignment in variant.split(',').filter(|assignment| !assignment.is_empty()) {
            weights.set(assignment).unwrap();
        }
        let examples: Vec<Example> = requests
            .iter()
            .map(|request| example(&index, request, &weights))
            .collect();
        println!("# first stage {variant}");
        let mut first = [0.0; COUNT];
        first[0] = 1.0;
        report(&examples, &first);
        let learned = learn(&examples, 0);
        println!("# learned from half A");
        report(&examples, &learned);
        let effects = effects(&examples, &learned);
        for ((name, weight), effect) in FEATURES.iter().zip(learned).zip(effects) {
            println!("# changes the sum by {effect:.3}");
            println!("stage2.{name} = {weight:.3}");
        }
    }
}

fn example(index: &SearchIndex<&str>, request: &Request, weights: &Weights) -> Example {
    let query = Query::new(&request.query).expanded(index);
    let found = second_stage_features(index, &query, weights);
    Example {
        half: support::half(&request.skill),
        right: found.iter().position(|(id, _)| *id == request.skill),
        documents: found.into_iter().map(|(_, features)| features).collect(),
    }
}

fn sum(weights: &[f64; COUNT], features: &Features) -> f64 {
    weights
        .iter()
        .zip(features)
        .map(|(weight, feature)| weight * f64::from(*feature))
        .sum()
}

fn learn(examples: &[Example], half: usize) -> [f64; COUNT] {
    let examples: Vec<(&Example, usize)> = examples
        .iter()
        .filter(|example| example.half == half)
        .filter_map(|example| Some((example, example.right?)))
        .collect();
    let mut weights = [0.0; COUNT];
    weights[0] = 10.0;
    let (mut first, mut second) = ([0.0; COUNT], [0.0; COUNT]);
    for round in 1..=ROUNDS {
        let mut gradient = weights.map(|weight| DECAY * weight);
        for (example, right) in &examples {
            let sums: Vec<f64> = example
                .documents
                .iter()
                .map(|features| sum(&weights, features))
                .collect();
            let highest = sums.iter().copied().fold(f64::MIN, f64::max);
            let exponentials: Vec<f64> = sums.iter().map(|sum| (sum - highest).exp()).collect();
            let total: f64 = exponentials.iter().sum();
            for (at, (features, exponential)) in example.documents.iter().zip(exponentials).enumerate() {
                let error = exponential / total - f64::from(u8::from(at == *right));
                for (slope, feature) in gradient.iter_mut().zip(features) {
                    *slope += error * f64::from(*feature) / examples.len() as f64;
                }
            }
        }
        for at in 0..COUNT {
            first[at] = 0.9 * first[at] + 0.1 * gradient[at];
            second[at] = 0.999 * second[at] + 0.001 * gradient[at] * gradient[at];
            let mean = first[at] / (1.0 - 0.9_f64.powi(round));
            let spread = second[at] / (1.0 - 0.999_f64.powi(round));
            weights[at] -= STEP * mean / (spread.sqrt() + 1e-9);
        }
    }
    weights
}

/// By how much each feature changes the weighted sums of a request's documents: the weight times the mean standard
/// deviation.
fn effects(examples: &[Example], weights: &[f64; COUNT]) -> [f64; COUNT] {
    let mut effects = [0.0; COUNT];
    for (at, effect) in effects.iter_mut().enumerate() {
        let deviations = examples.iter().map(|example| {
            let values = || example.documents.iter().map(|features| f64::from(features[at]));
            let average = mean(values());
            mean(values().map(|value| (value - average).powi(2))).sqrt()
        });
        *effect = weights[at].abs() * mean(deviations);
    }
    effects
}

fn report(examples: &[Example], weights: &[f64; COUNT]) {
    for (half, title) in ["A", "B"].into_iter().enumerate() {
        let ranks: Vec<Vec<usize>> = examples
            .iter()
            .filter(|example| example.half == half)
            .map(|example| {
                let Some(right) = example.right else {
                    return Vec::new();
                };
                let sums: Vec<f64> = example
                    .documents
                    .iter()
                    .map(|features| sum(weights, features))
                    .collect();
                let before = (0..sums.len())
                    .filter(|at| sums[*at] > sums[right] || (sums[*at] >= sums[right] && *at < right))
                    .count();
                vec![before + 1]
            })
            .collect();
        println!(
            "# half {title}: nDCG@10 {:.4}, Recall@10 {:.4}, Recall@60 {:.4}",
            mean(ranks.iter().map(|ranks| ndcg_at(10, ranks, 1))),
            mean(ranks.iter().map(|ranks| recall_at(10, ranks, 1))),
            mean(ranks.iter().map(|ranks| recall_at(60, ranks, 1))),
        );
    }
}
