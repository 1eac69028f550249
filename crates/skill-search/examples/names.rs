//! Measures whether skills are found by their name, written as people write it.
//!
//! Draws 150 names of two or three words from the corpus and searches for them in several spellings, up to five of each
//! kind. A search is right if the skill, or one with the same name, is among the first five hits.
//!
//! ```sh
//! SKILLKEEP_CORPUS=~/corpus cargo run --release -p skill-search --example names -- [--seed N] [--misses] [name=number]…
//! ```
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a measurement prints, and should stop if the corpus is not as expected"
)]

use std::time::{Duration, Instant};

use skill_search::evaluation::percentile;
use skill_search::{Query, SearchIndex, Weights, search_with};

mod support;
use support::{Random, Skills};

const NAMES: usize = 150;
/// Spellings of each kind per name.
const SPELLINGS: usize = 5;
/// Number of hits among which the skill must be.
const FIRST: usize = 5;

/// A kind of spelling, and the spellings of a name.
type Kind = (&'static str, fn(&str, &mut Random) -> String);

const KINDS: [Kind; 12] = [
    ("exact slug", |name, _| name.to_owned()),
    ("spaces", |name, _| name.replace('-', " ")),
    ("joined", |name, _| name.replace('-', "")),
    ("CamelCase", |name, _| name.split('-').map(capitalised).collect()),
    ("one letter missing", |name, random| without_letter(name, random)),
    ("two letters swapped", |name, random| {
        with_swapped_letters(name, random)
    }),
    ("one letter wrong", |name, random| with_wrong_letter(name, random)),
    ("first two thirds", |name, _| {
        name[..(2 * name.len()).div_ceil(3)].to_owned()
    }),
    ("two thirds, spaces", |name, _| {
        name[..(2 * name.len()).div_ceil(3)].replace('-', " ")
    }),
    ("reversed", |name, _| {
        name.split('-').rev().collect::<Vec<_>>().join(" ")
    }),
    ("plural", |name, _| format!("{}s", name.replace('-', " "))),
    ("joined, letter missing", |name, random| {
        without_letter(name, random).replace('-', "")
    }),
];

fn main() {
    let mut weights = Weights::builtin().clone();
    let (mut seed, mut shows_misses) = (1, false);
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seed" => seed = arguments.next().unwrap().parse().unwrap(),
            "--misses" => shows_misses = true,
            _ => {
                weights.set(&argument).unwrap();
            }
        }
    }
    let skills = support::read_skills(&support::corpus());
    let index = support::index(&skills);
    let names = draw(&skills, &mut Random(seed));
    let mut times: Vec<Duration> = Vec::new();
    for (kind, spell) in KINDS {
        // In each round, one spelling of every name.
        let mut rounds = Vec::new();
        let (mut first, mut searches) = (0, 0);
        for round in 0..SPELLINGS {
            let mut random = Random(seed.wrapping_mul(1_000) + round as u64);
            let mut found = 0;
            for name in &names {
                let written = spell(name, &mut random);
                let start = Instant::now();
                let rank = rank(&index, &skills, name, &written, &weights);
                times.push(start.elapsed());
                searches += 1;
                first += usize::from(rank == Some(1));
                found += usize::from(rank.is_some());
                if rank.is_none() && shows_misses {
                    println!("  {kind}: {name}, written {written:?}");
                }
            }
            rounds.push(found);
            if names
                .iter()
                .all(|name| spell(name, &mut Random(1)) == spell(name, &mut Random(2)))
            {
                // All spellings of this kind are the same.
                break;
            }
        }
        println!(
            "{kind:<24} found of {NAMES}: {rounds:?}, first {:.1} %",
            100.0 * f64::from(first as u32) / f64::from(searches as u32)
        );
    }
    let at = |share| percentile(&times, share).unwrap_or_default().as_secs_f64() * 1e3;
    println!(
        "a query: p50 {:.2} ms, p99 {:.2} ms, max {:.2} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// The rank of the first skill with the given name, if it is among the first hits.
fn rank(
    index: &SearchIndex<&str>,
    skills: &Skills,
    name: &str,
    written: &str,
    weights: &Weights,
) -> Option<usize> {
    let query = Query::new(written).expanded(index);
    let hits = search_with(index, &query, FIRST, |_| true, weights);
    hits.iter()
        .position(|hit| skills[hit.id].name.as_str() == name)
        .map(|position| position + 1)
}

/// Different names of two or three words.
fn draw(skills: &Skills, random: &mut Random) -> Vec<String> {
    let mut names: Vec<String> = skills
        .values()
        .map(|skill| skill.name.as_str().to_owned())
        .filter(|name| name.is_ascii() && (2..=3).contains(&name.split('-').count()))
        .collect();
    names.sort_unstable();
    names.dedup();
    (0..NAMES)
        .map(|_| names.swap_remove(random.below(names.len())))
        .collect()
}

fn capitalised(word: &str) -> String {
    let mut word = word.to_owned();
    word[..1].make_ascii_uppercase();
    word
}

/// The positions of letters in a name.
fn letters(name: &str) -> Vec<usize> {
    let letters = name.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric());
    letters.map(|(at, _)| at).collect()
}

fn without_letter(name: &str, random: &mut Random) -> String {
    let letters = letters(name);
    let mut name = name.to_owned();
    name.remove(letters[random.below(letters.len())]);
    name
}

fn with_swapped_letters(name: &str, random: &mut Random) -> String {
    let bytes = name.as_bytes();
    let pairs: Vec<usize> = (1..bytes.len())
        .filter(|at| bytes[*at] != b'-' && bytes[at - 1] != b'-' && bytes[*at] != bytes[at - 1])
        .collect();
    let mut bytes = bytes.to_vec();
    let at = pairs[random.below(pairs.len())];
    bytes.swap(at - 1, at);
    String::from_utf8(bytes).unwrap()
}

fn with_wrong_letter(name: &str, random: &mut Random) -> String {
    let letters = letters(name);
    let mut bytes = name.as_bytes().to_vec();
    let at = letters[random.below(letters.len())];
    bytes[at] = b'a' + random.below(26) as u8;
    String::from_utf8(bytes).unwrap()
}
