//! Compares the search of skillkeep with tantivy and PostgreSQL's full text search: the same skills, the same requests, one thread.
//!
//! `SKILLKEEP_CORPUS` names a folder with `skills-md.tar.gz` and `queries-dev.jsonl.gz`. `DATABASE_URL` names an empty database; without
//! it PostgreSQL is left out. Arguments: the numbers of skills, by default 1000 5021 10000 100000; beyond the corpus its skills are
//! repeated. Times are of a search in a process whose index is in memory, or with PostgreSQL of a statement over its socket.

mod corpus;
mod full_text;
mod own;
mod with_tantivy;

use std::time::{Duration, Instant};

use corpus::{Corpus, Skill};

/// Requests of a measurement.
const REQUESTS: usize = 500;
/// Has no divisor in common with [`REQUESTS`], so that each request comes once.
const STEP: usize = 211;
/// A measurement ends after so long, with fewer requests.
const MAX_TIME: Duration = Duration::from_mins(2);
const K: usize = 10;

/// A search engine with an index of some skills.
trait Engine {
    /// The numbers of the best 10 skills.
    fn search(&mut self, query: &str) -> Vec<usize>;
}

fn main() {
    let corpus = Corpus::read();
    let mut counts: Vec<usize> = std::env::args()
        .skip(1)
        .map(|count| count.parse().expect("the arguments are numbers of skills"))
        .collect();
    if counts.is_empty() {
        counts = vec![1_000, 5_021, 10_000, 100_000];
    }
    println!(
        "{:<12} {:>7} {:>9} {:>8} {:>9} {:>9} {:>8} {:>9}",
        "engine", "skills", "build s", "requests", "p50 ms", "p99 ms", "nDCG@10", "Recall@10"
    );
    for count in counts {
        let skills = corpus.repeated(count);
        report("skillkeep", &corpus, count, || Box::new(own::Own::new(&skills)));
        report("tantivy", &corpus, count, || {
            Box::new(with_tantivy::Tantivy::new(&skills))
        });
        if let Ok(url) = std::env::var("DATABASE_URL") {
            report("PostgreSQL", &corpus, count, || {
                Box::new(full_text::FullText::new(&url, &skills))
            });
        }
    }
}

fn report<'a>(name: &str, corpus: &Corpus, count: usize, build: impl FnOnce() -> Box<dyn Engine + 'a>) {
    let started = Instant::now();
    let mut engine = build();
    let seconds = started.elapsed().as_secs_f64();
    let begin = Instant::now();
    let (mut times, mut ndcg, mut recall, mut judged) = (Vec::new(), 0.0, 0.0, 0_usize);
    // In steps, so that fewer of them are not those of the first skills.
    for number in 0..REQUESTS {
        let place = number.wrapping_mul(STEP) % REQUESTS * corpus.requests.len() / REQUESTS;
        let Some(request) = corpus.requests.get(place).filter(|_| begin.elapsed() < MAX_TIME) else {
            break;
        };
        let started = Instant::now();
        let found = engine.search(&request.query);
        times.push(started.elapsed());
        // Copies of a skill are as good as it. Only the skills of the corpus can be judged.
        if request.skill < count.min(corpus.skills.len()) {
            judged += 1;
            let is_right = |number: &usize| number % corpus.skills.len() == request.skill;
            if let Some(rank) = found.iter().take(K).position(is_right) {
                ndcg += 1.0 / (rank as f64 + 2.0).log2();
                recall += 1.0;
            }
        }
    }
    times.sort_unstable();
    let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize];
    let judged = judged.max(1) as f64;
    println!(
        "{name:<12} {count:>7} {seconds:>9.1} {:>8} {:>9.2} {:>9.2} {:>8.3} {:>9.3}",
        times.len(),
        milliseconds(at(0.5)),
        milliseconds(at(0.99)),
        ndcg / judged,
        recall / judged
    );
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

/// The texts of a skill, joined as the engines take them.
fn headings(skill: &Skill) -> String {
    skill.document.headings.join("\n")
}
