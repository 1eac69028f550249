//! Measures what embeddings bring on a corpus of real skills.
//!
//! `SKILLKEEP_CORPUS` names a folder with `skills-md.tar.gz` (`owner/name/SKILL.md`) and `queries-dev.jsonl.gz` (one
//! request per line: `{"query": …, "skill": "owner/name"}`). One skill per request is relevant. The arguments are the
//! folder of the model, a folder for vectors, which are computed once, and, to measure without the built-in adapter for
//! queries, `none` or the file of another. `wishes.jsonl` and `wishes-drawn.jsonl` have wishes
//! in other words than their skill uses; that is checked first.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "an evaluation prints, and should stop if the corpus is not as expected"
)]

mod corpus;
mod embedded;
mod methods;
mod statistics;
mod wishes;

use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use corpus::{Request, Skills, half};
use embedded::Kind;
use methods::{Index, Method};
use skill_embeddings::{
    Embedder as _, Embedding, Int8Vectors, LocalEmbedder, LocalModelSettings, QuantizedVector, QueryAdapter,
    passages_of,
};
use skill_search::Query;
use skill_search::evaluation::{mean, ndcg_at, percentile, recall_at, relevant_ranks};

/// Results that are judged, of requests and of wishes.
const K: usize = 10;
const WISH_K: usize = 5;

/// Sizes of the sets that are scanned, and scans of each.
const SCANNED: [usize; 2] = [5_021, 100_000];
const SCANS: usize = 1_000;

fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let corpus = std::env::var_os("SKILLKEEP_CORPUS").map(PathBuf::from);
    let (Some(corpus), Some(model), Some(cache)) = (corpus, arguments.next(), arguments.next()) else {
        eprintln!("usage: SKILLKEEP_CORPUS=FOLDER eval MODEL_FOLDER VECTORS_FOLDER [none | ADAPTER_FILE]");
        return ExitCode::FAILURE;
    };
    let start = Instant::now();
    let settings = LocalModelSettings {
        query_adapter: adapter(arguments.next()),
        ..LocalModelSettings::new(model)
    };
    let embedder = LocalEmbedder::load(&settings).expect("the model can be loaded");
    println!(
        "model      {} loaded in {:.2} s",
        embedder.query_model_id(),
        start.elapsed().as_secs_f64()
    );
    let skills = Skills::read(&corpus.join("skills-md.tar.gz"));
    let requests = skills.requests(&corpus.join("queries-dev.jsonl.gz"));
    let wishes = skills.wishes();
    wishes
        .iter()
        .for_each(|(_, wishes)| check_wishes(&skills, wishes));
    let texts = skills.texts();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let embeddings = with_passages(&skills, &texts, &embedder, &cache);
    let all: Vec<usize> = (0..skills.ids.len()).collect();
    let index = Index::new(&skills, &embeddings, &all);
    let of_queries = |title: &str, requests: &[Request]| {
        let texts: Vec<&str> = requests.iter().map(|request| request.text.as_str()).collect();
        embedded::embeddings(&embedder, &cache, Kind::Query, title, &texts)
    };
    let queries = of_queries("requests", &requests);
    measure_quality("requests", &index, &skills, &requests, &queries);
    for (title, wishes) in &wishes {
        let queries = of_queries(title, wishes);
        measure_quality(title, &index, &skills, wishes, &queries);
        wishes::measure(title, &skills, &embeddings, wishes, &queries);
    }
    measure_speed(&embedder, texts[0]);
    for size in SCANNED {
        measure_scan(size, embedder.dimensions());
    }
    ExitCode::SUCCESS
}

fn adapter(argument: Option<PathBuf>) -> QueryAdapter {
    match argument {
        None => QueryAdapter::BuiltIn,
        Some(none) if none == Path::new("none") => QueryAdapter::None,
        Some(file) => QueryAdapter::File(file),
    }
}

/// The embeddings of each skill: of its name, description and headings, then of its passages.
fn with_passages(
    skills: &Skills,
    texts: &[&str],
    embedder: &LocalEmbedder,
    cache: &Path,
) -> Vec<Vec<Embedding>> {
    let own = embedded::embeddings(embedder, cache, Kind::Document, "skills", texts);
    let passages: Vec<Vec<String>> = skills
        .documents
        .iter()
        .map(|document| passages_of(&document.body))
        .collect();
    let all: Vec<&str> = passages.iter().flatten().map(String::as_str).collect();
    let mut of_passages = embedded::embeddings(embedder, cache, Kind::Document, "passages", &all).into_iter();
    let vectors = own.into_iter().zip(&passages).map(|(own, passages)| {
        std::iter::once(own)
            .chain(of_passages.by_ref().take(passages.len()))
            .collect()
    });
    vectors.collect()
}

/// Stops if a wish has a word of its skill's name, description or headings.
fn check_wishes(skills: &Skills, wishes: &[Request]) {
    for wish in wishes {
        let document = &skills.documents[wish.skill];
        let name_and_description = [document.name.as_str(), document.description.as_str()];
        let parts = name_and_description
            .into_iter()
            .chain(document.headings.iter().map(String::as_str));
        let wish_words = Query::new(&wish.text);
        // Word by word, because a query has a limited number of words.
        for word in parts.flat_map(str::split_whitespace) {
            let shared = wish_words.shares_word_with(&Query::new(word));
            assert!(
                !shared,
                "{}: {word:?} is in the wish {:?}",
                skills.ids[wish.skill], wish.text
            );
        }
    }
    println!("wishes     {} have no word of their skill", wishes.len());
}

fn measure_quality(
    title: &str,
    index: &Index,
    skills: &Skills,
    requests: &[Request],
    embeddings: &[Embedding],
) {
    println!("\n{} {title}, mean and 95 % interval", requests.len());
    let mut baseline: Vec<f64> = Vec::new();
    for (method, name) in Method::ALL {
        let ranked = requests.iter().zip(embeddings).map(|(request, embedding)| {
            let ids = method.rank(index, &request.text, embedding, K);
            relevant_ranks(ids, |id| *id == request.skill)
        });
        let ranks: Vec<Vec<usize>> = ranked.collect();
        let values =
            |value: fn(&[usize]) -> f64| ranks.iter().map(|ranks| value(ranks)).collect::<Vec<f64>>();
        let ndcg = values(|ranks| ndcg_at(K, ranks, 1));
        let recall = values(|ranks| recall_at(K, ranks, 1));
        let early = values(|ranks| recall_at(WISH_K, ranks, 1));
        println!(
            "{name:<30} nDCG@{K} {}   Recall@{K} {}   Recall@{WISH_K} {}",
            shown(&ndcg),
            shown(&recall),
            shown(&early)
        );
        if method == Method::Lexical {
            baseline = ndcg;
        } else {
            let differences: Vec<f64> = ndcg
                .iter()
                .zip(&baseline)
                .map(|(one, other)| one - other)
                .collect();
            let of_half = |wanted: usize| {
                let halves = requests.iter().map(|request| half(&skills.ids[request.skill]));
                mean(
                    ndcg.iter()
                        .zip(halves)
                        .filter(|(_, half)| *half == wanted)
                        .map(|(value, _)| *value),
                )
            };
            println!(
                "{:<30} to words alone {}   halves {:.4} and {:.4}",
                "",
                shown(&differences),
                of_half(0),
                of_half(1)
            );
        }
    }
}

fn shown(values: &[f64]) -> String {
    let (mean, low, high) = statistics::interval(values);
    format!("{mean:.4} ({low:.4} to {high:.4})")
}

/// Measures texts of some lengths on one thread.
fn measure_speed(embedder: &LocalEmbedder, long: &str) {
    let long = [long; 8].join(" ");
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let short = "turn a scanned page into text that I can search";
    for (title, text) in [("query, 12 tokens", short), ("skill, 128 tokens", long.as_str())] {
        let times: Vec<Duration> = (0..40)
            .map(|_| {
                let start = Instant::now();
                black_box(runtime.block_on(embedder.embed_query(text))).expect("the text is embedded");
                start.elapsed()
            })
            .collect();
        print_times(title, &times);
    }
}

fn measure_scan(size: usize, dimensions: usize) {
    let mut state = 1;
    let mut random = || {
        let numbers = (0..dimensions).map(|_| statistics::next(&mut state) as f32 / u64::MAX as f32 - 0.5);
        QuantizedVector::new(&Embedding::new(numbers.collect()).expect("random numbers have a direction"))
    };
    let mut vectors = Int8Vectors::new(dimensions);
    for id in 0..size {
        vectors
            .upsert(id, &random())
            .expect("each vector has the dimensions");
    }
    let times: Vec<Duration> = (0..SCANS)
        .map(|_| {
            let query = random();
            let start = Instant::now();
            black_box(vectors.nearest(&query, 100, |_| true));
            start.elapsed()
        })
        .collect();
    print_times(
        &format!("scan of {size}, {:.1} MB", vectors.memory_bytes() as f64 / 1e6),
        &times,
    );
}

fn print_times(title: &str, times: &[Duration]) {
    let at = |share| percentile(times, share).unwrap_or_default().as_secs_f64() * 1e3;
    println!(
        "{title:<30} p50 {:.3} ms   p99 {:.3} ms   least {:.3} ms",
        at(0.5),
        at(0.99),
        at(0.0)
    );
}
