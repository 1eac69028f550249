//! Measures the time to find similar words and completions in a vocabulary of 200,000 words.
//!
//! The words are those of the corpus, and variants of them until there are enough.
//!
//! ```sh
//! SKILLKEEP_CORPUS=~/corpus cargo run --release -p skill-search --example vocabulary
//! ```
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement prints, and should stop if the corpus is not as expected"
)]

use std::collections::BTreeSet;
use std::hint::black_box;
use std::time::{Duration, Instant};

use skill_search::evaluation::percentile;
use skill_search::{IndexView as _, Vocabulary};

mod support;
use support::Random;

const WORDS: usize = 200_000;
const LOOKUPS: usize = 1_000;

fn main() {
    let skills = support::read_skills(&support::corpus());
    let index = support::index(&skills);
    let own: Vec<String> = index
        .vocabulary()
        .iter()
        .map(|(word, _)| word.to_owned())
        .collect();
    println!("words of the corpus: {}", own.len());
    let mut random = Random(1);
    let mut words: BTreeSet<String> = own.iter().cloned().collect();
    while words.len() < WORDS {
        words.insert(changed(&own[random.below(own.len())], &mut random));
    }
    let words: Vec<String> = words.into_iter().collect();
    let vocabulary = Vocabulary::new(words.iter().map(|word| (word.as_str(), 1)));
    let start = Instant::now();
    let bytes = vocabulary.to_bytes();
    let written = start.elapsed();
    let start = Instant::now();
    let read = Vocabulary::from_bytes(&bytes).unwrap();
    println!(
        "{} words: {:.1} MB in memory, {:.1} MB stored, written in {:.1} ms, read in {:.1} ms",
        read.len(),
        read.memory_bytes() as f64 / 1e6,
        bytes.len() as f64 / 1e6,
        written.as_secs_f64() * 1e3,
        start.elapsed().as_secs_f64() * 1e3
    );
    let misspelt: Vec<String> = (0..LOOKUPS)
        .map(|_| changed(&words[random.below(words.len())], &mut random))
        .collect();
    report("similar", &misspelt, |word| {
        black_box(vocabulary.similar(word, 3));
    });
    let prefixes = ["a", "co", "con", "s", "pre", "de"].map(str::to_owned);
    report("completions", &prefixes, |prefix| {
        black_box(vocabulary.completions(prefix, 8));
    });
}

/// The times of a look-up, of three rounds the best.
fn report(title: &str, words: &[String], look_up: impl Fn(&str)) {
    let times: Vec<Duration> = words
        .iter()
        .map(|word| {
            let times = (0..3).map(|_| {
                let start = Instant::now();
                look_up(word);
                start.elapsed()
            });
            times.min().unwrap()
        })
        .collect();
    let at = |share| percentile(&times, share).unwrap_or_default().as_secs_f64() * 1e3;
    println!(
        "{title:<12} p50 {:.2} ms   p99 {:.2} ms   max {:.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// A word with two letters added or replaced.
fn changed(word: &str, random: &mut Random) -> String {
    let mut letters: Vec<char> = word.chars().collect();
    for _ in 0..2 {
        let letter = char::from(b'a' + random.below(26) as u8);
        let at = random.below(letters.len());
        if random.below(2) == 0 {
            letters[at] = letter;
        } else {
            letters.insert(at, letter);
        }
    }
    letters.into_iter().collect()
}
