//! How well and how fast skills are found: real requests over a corpus of real skills.
//!
//! `SKILLKEEP_CORPUS` names a folder with `skills-md.tar.gz` (`owner/name/SKILL.md`) and `queries-dev.jsonl.gz` (a
//! line a request: `{"query": …, "skill": "owner/name"}`). One skill a request counts as right. Also measured apart
//! for two halves of the skills, which should agree: numbers that fit one half only are not worth having.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a benchmark prints, and should stop at once where its corpus is not as expected"
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
use skill_search::{Query, SearchIndex, SkillText};

use uuid::Uuid;

const RANKS: usize = 10;

#[derive(Deserialize)]
struct Request {
    query: String,
    skill: String,
}

struct Skill {
    id: Uuid,
    document: SkillDocument,
}

/// nDCG and recall of some requests, with one right skill each.
#[derive(Clone, Copy, Default)]
struct Quality {
    requests: usize,
    gain: f64,
    found: usize,
}

impl Quality {
    fn add(&mut self, rank: Option<usize>) {
        self.requests += 1;
        if let Some(rank) = rank {
            self.gain += 1.0 / (rank as f64 + 2.0).log2();
            self.found += 1;
        }
    }

    fn print(&self, title: &str) {
        let requests = self.requests.max(1) as f64;
        let (ndcg, recall) = (self.gain / requests, self.found as f64 / requests);
        println!(
            "{title:<10} nDCG@10 {ndcg:.4}   Recall@10 {recall:.4}   of {} requests",
            self.requests
        );
    }
}

fn main() -> ExitCode {
    let Some(corpus) = std::env::var_os("SKILLKEEP_CORPUS") else {
        eprintln!(
            "SKILLKEEP_CORPUS is not set. Set it to the folder that holds skills-md.tar.gz and \
             queries-dev.jsonl.gz; without them there is nothing to measure."
        );
        return ExitCode::FAILURE;
    };
    let corpus = Path::new(&corpus);
    for name in ["skills-md.tar.gz", "queries-dev.jsonl.gz"] {
        if !corpus.join(name).is_file() {
            eprintln!(
                "SKILLKEEP_CORPUS is {}, which has no file {name}.",
                corpus.display()
            );
            return ExitCode::FAILURE;
        }
    }
    let skills = read_skills(&corpus.join("skills-md.tar.gz"));
    let requests = read_requests(&corpus.join("queries-dev.jsonl.gz"));
    let index = build(&skills);
    measure(&index, &skills, &requests);
    measure_costly_query(&index, &skills);
    ExitCode::SUCCESS
}

fn build(skills: &BTreeMap<String, Skill>) -> SearchIndex {
    let start = Instant::now();
    let mut index = SearchIndex::new();
    for Skill { id, document } in skills.values() {
        index.upsert(&SkillText {
            skill: *id,
            name: document.name.as_str(),
            description: &document.description,
            // The corpus is measured by what every skill has.
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

fn measure(index: &SearchIndex, skills: &BTreeMap<String, Skill>, requests: &[Request]) {
    let (mut all, mut halves) = (Quality::default(), [Quality::default(); 2]);
    let mut times = Vec::with_capacity(requests.len());
    for request in requests {
        let start = Instant::now();
        let hits = index.search(&Query::new(&request.query), RANKS, |_| true);
        times.push(start.elapsed());
        let right = skills.get(&request.skill).map(|skill| skill.id);
        let rank = hits.iter().position(|hit| Some(hit.skill) == right);
        all.add(rank);
        halves[half(&request.skill)].add(rank);
    }
    all.print("all");
    halves[0].print("half A");
    halves[1].print("half B");
    times.sort_unstable();
    let at = |share: f64| milliseconds(times[((times.len() - 1) as f64 * share) as usize]);
    println!(
        "a query    p50 {:.3} ms   p99 {:.3} ms   max {:.3} ms",
        at(0.5),
        at(0.99),
        at(1.0)
    );
}

/// The dearest query there is: the words that most skills have.
fn measure_costly_query(index: &SearchIndex, skills: &BTreeMap<String, Skill>) {
    let mut having: BTreeMap<&str, usize> = BTreeMap::new();
    for Skill { document, .. } in skills.values() {
        let mut words: Vec<&str> = document.body.split(|c: char| !c.is_ascii_lowercase()).collect();
        words.sort_unstable();
        words.dedup();
        for word in words.into_iter().filter(|word| word.len() > 2) {
            *having.entry(word).or_default() += 1;
        }
    }
    let mut common: Vec<(usize, &str)> = having.into_iter().map(|(word, having)| (having, word)).collect();
    common.sort_unstable();
    let query: Vec<&str> = common.iter().rev().take(400).map(|(_, word)| *word).collect();
    let query = query.join(" ");
    let start = Instant::now();
    for _ in 0..RANKS {
        black_box(index.search(&Query::new(&query), RANKS, |_| true));
    }
    println!(
        "dearest    {:.3} ms",
        milliseconds(start.elapsed()) / RANKS as f64
    );
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// Splits by skill, so that no skill's requests are in both halves (FNV-1a).
fn half(skill: &str) -> usize {
    let hash = skill.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    usize::from((hash >> 32) & 1 == 1)
}

fn read_skills(archive: &Path) -> BTreeMap<String, Skill> {
    let file = File::open(archive).expect("the archive of skills opens");
    let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
    let mut skills = BTreeMap::new();
    for entry in archive.entries().expect("the archive of skills is a tar file") {
        let mut entry = entry.expect("each entry is whole");
        let path = entry.path().expect("each entry has a path").into_owned();
        if !path.ends_with("SKILL.md") {
            continue;
        }
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).expect("each entry is whole");
        let parent = path
            .parent()
            .expect("a skill lies in a folder")
            .to_string_lossy()
            .into_owned();
        let label = parent.trim_start_matches("./").to_owned();
        let folder = label.rsplit('/').next().unwrap_or(&label);
        match read_document(&bytes, folder) {
            Ok(document) => {
                let id = Uuid::from_u128(skills.len() as u128);
                skills.insert(label, Skill { id, document });
            }
            Err(error) => eprintln!("{label} is not indexed: {error}"),
        }
    }
    skills
}

fn read_requests(file: &Path) -> Vec<Request> {
    let file = File::open(file).expect("the file of requests opens");
    let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
    lines
        .map(|line| {
            serde_json::from_str(&line.expect("each line is text")).expect("each line is a request in JSON")
        })
        .collect()
}
