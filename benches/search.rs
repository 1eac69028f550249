//! Measures the quality and the speed of the search on a corpus of real skills.
//!
//! `SKILLKEEP_CORPUS` names a folder with `skills-md.tar.gz` (`owner/name/SKILL.md`) and `queries-dev.jsonl.gz` (one
//! request per line: `{"query": …, "skill": "owner/name"}`). One skill per request is relevant. The quality is also
//! printed for two halves of the skills: parameters that improve only one half are overfitted.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a benchmark prints, and should stop if the corpus is not as expected"
)]

use std::collections::BTreeMap;
use std::fs::File;
use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use agent_skills::{SkillDocument, read_document};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use skill_search::evaluation::{mean, ndcg_at, percentile, recall_at, reciprocal_rank, relevant_ranks};
use skill_search::{Document, Query, SearchIndex};

/// Number of results that are judged.
const K: usize = 10;
/// Number of words in the most expensive query.
const EXPENSIVE_WORDS: usize = 400;

/// The corpus: `owner/name` and the parsed `SKILL.md`.
type Skills = BTreeMap<String, SkillDocument>;

#[derive(Deserialize)]
struct Request {
    query: String,
    skill: String,
}

fn main() -> ExitCode {
    let Some(corpus) = std::env::var_os("SKILLKEEP_CORPUS") else {
        eprintln!(
            "SKILLKEEP_CORPUS is not set: set it to a folder with skills-md.tar.gz and queries-dev.jsonl.gz"
        );
        return ExitCode::FAILURE;
    };
    let corpus = Path::new(&corpus);
    for name in ["skills-md.tar.gz", "queries-dev.jsonl.gz"] {
        if !corpus.join(name).is_file() {
            eprintln!("SKILLKEEP_CORPUS: there is no {name} in {}", corpus.display());
            return ExitCode::FAILURE;
        }
    }
    let skills = read_skills(&corpus.join("skills-md.tar.gz"));
    let requests = read_requests(&corpus.join("queries-dev.jsonl.gz"));
    let index = build(&skills);
    measure(&index, &requests);
    measure_expensive_query(&index, &skills);
    ExitCode::SUCCESS
}

fn build(skills: &Skills) -> SearchIndex<&str> {
    let start = Instant::now();
    let mut index = SearchIndex::new();
    for (id, document) in skills {
        index.upsert(&Document {
            id: id.as_str(),
            name: document.name.as_str(),
            description: &document.description,
            // Few skills have tags; the quality is measured without them.
            tags: &[],
            headings: &document.headings,
            body: &document.body,
        });
    }
    let seconds = start.elapsed().as_secs_f64();
    let megabytes = index.memory_bytes() as f64 / 1e6;
    println!(
        "index      {} skills in {seconds:.2} s, {megabytes:.0} MB",
        index.len()
    );
    index
}

fn measure(index: &SearchIndex<&str>, requests: &[Request]) {
    let mut ranks = Vec::with_capacity(requests.len());
    let mut times = Vec::with_capacity(requests.len());
    for request in requests {
        let start = Instant::now();
        let hits = index.search(&Query::new(&request.query), K, |_| true);
        times.push(start.elapsed());
        let ids = hits.into_iter().map(|hit| hit.id);
        ranks.push((
            half(&request.skill),
            relevant_ranks(ids, |id| *id == request.skill),
        ));
    }
    print_quality("all", ranks.iter().map(|(_, ranks)| &**ranks));
    for (half, title) in ["half A", "half B"].into_iter().enumerate() {
        let of_half = ranks.iter().filter(|(of, _)| *of == half);
        print_quality(title, of_half.map(|(_, ranks)| &**ranks));
    }
    let at = |share| milliseconds(percentile(&times, share).unwrap_or_default());
    println!(
        "a query    p50 {:.3} ms   p99 {:.3} ms   max {:.3} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// Prints the mean quality of some requests, given the ranks of the one relevant skill of each.
fn print_quality<'a>(title: &str, ranks: impl Iterator<Item = &'a [usize]> + Clone) {
    println!(
        "{title:<10} nDCG@{K} {:.4}   Recall@{K} {:.4}   MRR@{K} {:.4}   of {} requests",
        mean(ranks.clone().map(|ranks| ndcg_at(K, ranks, 1))),
        mean(ranks.clone().map(|ranks| recall_at(K, ranks, 1))),
        mean(ranks.clone().map(reciprocal_rank)),
        ranks.count()
    );
}

/// Measures the query of the words that occur in most skills.
fn measure_expensive_query(index: &SearchIndex<&str>, skills: &Skills) {
    let mut frequencies: BTreeMap<&str, usize> = BTreeMap::new();
    for document in skills.values() {
        let mut words: Vec<&str> = document.body.split(|c: char| !c.is_ascii_lowercase()).collect();
        words.sort_unstable();
        words.dedup();
        for word in words.into_iter().filter(|word| word.len() > 2) {
            *frequencies.entry(word).or_default() += 1;
        }
    }
    let mut by_frequency: Vec<(usize, &str)> = frequencies
        .into_iter()
        .map(|(word, frequency)| (frequency, word))
        .collect();
    by_frequency.sort_unstable_by(|a, b| b.cmp(a));
    let words: Vec<&str> = by_frequency
        .iter()
        .take(EXPENSIVE_WORDS)
        .map(|(_, word)| *word)
        .collect();
    let query = words.join(" ");
    let rounds = 10;
    let start = Instant::now();
    for _ in 0..rounds {
        black_box(index.search(&Query::new(&query), K, |_| true));
    }
    println!("expensive  {:.3} ms", milliseconds(start.elapsed() / rounds));
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Assigns each skill to half 0 or 1 by the FNV-1a hash of its ID, so no skill has requests in both halves.
fn half(skill: &str) -> usize {
    let hash = skill.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    usize::from((hash >> 32) & 1 == 1)
}

fn read_skills(archive: &Path) -> Skills {
    let file = File::open(archive).expect("skills-md.tar.gz can be opened");
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut skills = Skills::new();
    for entry in archive.entries().expect("skills-md.tar.gz is a tar file") {
        let mut entry = entry.expect("each entry is readable");
        let path = entry.path().expect("each entry has a path").into_owned();
        if !path.ends_with("SKILL.md") {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("each entry is complete");
        let parent = path
            .parent()
            .expect("each SKILL.md is in a folder")
            .to_string_lossy()
            .into_owned();
        let id = parent.trim_start_matches("./").to_owned();
        let folder = id.rsplit('/').next().unwrap_or(&id);
        match read_document(&bytes, folder) {
            Ok(document) => {
                skills.insert(id, document);
            }
            Err(error) => eprintln!("{id} is not indexed: {error}"),
        }
    }
    skills
}

fn read_requests(file: &Path) -> Vec<Request> {
    let file = File::open(file).expect("queries-dev.jsonl.gz can be opened");
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    lines
        .map(|line| {
            serde_json::from_str(&line.expect("each line is UTF-8")).expect("each line is a request in JSON")
        })
        .collect()
}
