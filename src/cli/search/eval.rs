//! `skillkeep search eval`: the quality of the search for requests whose right skill is known.

mod embeddings;
mod meaning;

use std::collections::{BTreeMap, HashMap};
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use agent_skills::{SkillDocument, read_document};
use clap::Args;
use serde::Deserialize;
use serde_json::json;
use skill_search::evaluation::{mean, ndcg_at, percentile, recall_at, reciprocal_rank, relevant_ranks};
use skill_search::{Document, Query, SearchIndex};

use embeddings::Embeddings;

use crate::cli::embedding_args::EmbeddingArgs;
use crate::cli::output;
use crate::config::Config;
use crate::error::{CliError, CliErrorKind};

/// Number of results that are judged.
const K: usize = 10;
/// Number of samples of the bootstrap.
const SAMPLES: usize = 1_000;
/// Deeper folders are not searched for skills.
const MAX_DEPTH: usize = 8;

#[derive(Debug, Args)]
pub(in crate::cli) struct EvalArgs {
    /// Folder with skills, each a folder with a SKILL.md
    folder: PathBuf,
    /// File of requests in JSON Lines, or - for standard input
    ///
    /// A line: {"query": "sort tide tables", "skill": "path/below/the/folder"}. Example: skillkeep search eval ./skills
    /// queries.jsonl
    queries: PathBuf,
    #[command(flatten)]
    embeddings: EmbeddingArgs,
    /// Keep the computed embeddings in this file
    ///
    /// A later run computes only what is missing.
    #[arg(long, value_name = "FILE")]
    embeddings_cache: Option<PathBuf>,
}

#[derive(Deserialize)]
struct Request {
    query: String,
    skill: String,
}

pub(super) async fn run(config: &Config, args: &EvalArgs) -> Result<(), CliError> {
    let skills = read_skills(&args.folder)?;
    let requests = read_requests(&args.queries)?;
    let mut index = SearchIndex::new();
    for (id, document) in &skills {
        index.upsert(&Document {
            id: id.as_str(),
            name: document.name.as_str(),
            description: &document.description,
            tags: &document.tags,
            headings: &document.headings,
            body: &document.body,
        });
    }
    let known: Vec<&Request> = requests
        .iter()
        .filter(|request| skills.contains_key(&request.skill))
        .collect();
    if known.is_empty() {
        return Err(CliError::new(
            CliErrorKind::Usage,
            "no request names a skill of the folder; give each \"skill\" as its path below the folder",
        ));
    }
    let mut durations = Vec::with_capacity(known.len());
    let mut ranks = Vec::with_capacity(known.len());
    for request in &known {
        let start = Instant::now();
        let hits = index.search(&Query::new(&request.query), K, |_| true);
        durations.push(start.elapsed());
        let ids = hits.iter().map(|hit| hit.id);
        ranks.push(relevant_ranks(ids, |id| *id == request.skill));
    }
    let skipped = requests.len() - known.len();
    let by_ranking = match args.embeddings.embedder().await? {
        Some(embedder) => {
            let embeddings = Embeddings::open(embedder.as_ref(), args.embeddings_cache.as_deref())?;
            let requests = known.iter();
            let requests: Vec<(&str, &str)> = requests
                .map(|request| (request.query.as_str(), request.skill.as_str()))
                .collect();
            meaning::measure(embeddings, &skills, &index, &requests, K).await?
        }
        None => Vec::new(),
    };
    report(
        config,
        &Measured {
            skills: skills.len(),
            skipped,
            bytes: index.memory_bytes(),
            durations,
            ranks,
            by_ranking,
        },
    )
}

struct Measured {
    skills: usize,
    /// Number of requests whose skill is not in the folder.
    skipped: usize,
    bytes: usize,
    durations: Vec<Duration>,
    ranks: Vec<Vec<usize>>,
    /// The ranks with meaning, by the name of the ranking.
    by_ranking: Vec<(String, Vec<Vec<usize>>)>,
}

type Measure = fn(&[usize]) -> f64;

const MEASURES: [(&str, Measure); 5] = [
    ("nDCG@10", |ranks| ndcg_at(K, ranks, 1)),
    ("Recall@1", |ranks| recall_at(1, ranks, 1)),
    ("Recall@5", |ranks| recall_at(5, ranks, 1)),
    ("Recall@10", |ranks| recall_at(K, ranks, 1)),
    ("MRR", reciprocal_rank),
];

fn report(config: &Config, measured: &Measured) -> Result<(), CliError> {
    let values = values_of(&measured.ranks);
    let milliseconds = |share| {
        let duration = percentile(&measured.durations, share).unwrap_or_default();
        duration.as_secs_f64() * 1_000.0
    };
    let (p50, p99) = (milliseconds(0.5), milliseconds(0.99));
    if config.json {
        let mut shown = json!({
            "skills": measured.skills, "requests": measured.ranks.len(), "skipped": measured.skipped,
            "measures": as_json(&values), "p50_ms": p50, "p99_ms": p99, "index_bytes": measured.bytes,
        });
        if !measured.by_ranking.is_empty() {
            let rankings = measured.by_ranking.iter();
            let rankings: BTreeMap<_, _> = rankings
                .map(|(name, ranks)| (name, as_json(&values_of(ranks))))
                .collect();
            if let Some(fields) = shown.as_object_mut() {
                fields.insert("with_meaning".to_owned(), json!(rankings));
            }
        }
        return output::json(&shown);
    }
    output::line(&format!(
        "{} skills, {} requests ({} name a skill that is not in the folder)",
        measured.skills,
        measured.ranks.len(),
        measured.skipped
    ))?;
    let rows = values
        .into_iter()
        .map(|(name, value, (low, high))| {
            vec![
                name.to_owned(),
                format!("{value:.4}"),
                format!("{low:.4} to {high:.4}"),
            ]
        })
        .collect();
    output::table(&["measure", "value", "95 % interval"], rows, "")?;
    output::line(&format!(
        "p50 {p50:.2} ms, p99 {p99:.2} ms a search; the index takes {:.1} MB in memory",
        measured.bytes as f64 / 1e6
    ))?;
    report_meaning(measured)
}

/// A line for each ranking that uses meaning.
fn report_meaning(measured: &Measured) -> Result<(), CliError> {
    if measured.by_ranking.is_empty() {
        return Ok(());
    }
    let mut columns = vec!["with meaning"];
    columns.extend(MEASURES.iter().map(|(name, _)| *name));
    let rows = measured.by_ranking.iter().map(|(name, ranks)| {
        let values = values_of(ranks).into_iter();
        let cells = values.map(|(_, value, (low, high))| format!("{value:.4} ({low:.4} to {high:.4})"));
        std::iter::once(name.clone()).chain(cells).collect()
    });
    output::table(&columns, rows.collect(), "")
}

/// A measure, its mean and the mean's interval.
type Value = (&'static str, f64, (f64, f64));

fn values_of(ranks: &[Vec<usize>]) -> Vec<Value> {
    MEASURES
        .iter()
        .map(|(name, measure)| {
            let values: Vec<f64> = ranks.iter().map(|ranks| measure(ranks)).collect();
            (*name, mean(values.iter().copied()), interval(&values))
        })
        .collect()
}

fn as_json(values: &[Value]) -> serde_json::Value {
    let measures: BTreeMap<&str, _> = values
        .iter()
        .map(|(name, value, (low, high))| (*name, json!({"value": value, "low": low, "high": high})))
        .collect();
    json!(measures)
}

/// The 95 % confidence interval of a mean: percentiles of the means of samples with replacement (bootstrap). The samples are drawn
/// from a fixed seed, so that the same results give the same interval.
fn interval(values: &[f64]) -> (f64, f64) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        // SplitMix64.
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    };
    let count = values.len() as u64;
    let mut means: Vec<f64> = (0..SAMPLES)
        .map(|_| {
            let drawn = values.iter().map(|_| {
                let place = usize::try_from(next() % count.max(1)).unwrap_or(0);
                values.get(place).copied().unwrap_or_default()
            });
            mean(drawn)
        })
        .collect();
    means.sort_unstable_by(f64::total_cmp);
    let at = |share: f64| {
        means
            .get((share * SAMPLES as f64) as usize)
            .copied()
            .unwrap_or_default()
    };
    (at(0.025), at(0.975))
}

fn read_skills(folder: &Path) -> Result<BTreeMap<String, SkillDocument>, CliError> {
    let mut skills = BTreeMap::new();
    let mut skipped: HashMap<String, String> = HashMap::new();
    let found = walkdir::WalkDir::new(folder)
        .max_depth(MAX_DEPTH)
        .sort_by_file_name();
    for entry in found {
        let entry = entry.map_err(|error| CliError::new(CliErrorKind::Usage, error.to_string()))?;
        if entry.file_name() != "SKILL.md" || !entry.file_type().is_file() {
            continue;
        }
        let Some(parent) = entry.path().parent() else {
            continue;
        };
        let id = parent
            .strip_prefix(folder)
            .unwrap_or(parent)
            .display()
            .to_string();
        let name = parent.file_name().map(|name| name.to_string_lossy().into_owned());
        let bytes = std::fs::read(entry.path()).map_err(|error| {
            CliError::new(
                CliErrorKind::Usage,
                format!("cannot read {}: {error}", entry.path().display()),
            )
        })?;
        match read_document(&bytes, &name.unwrap_or_default()) {
            Ok(document) => {
                skills.insert(id, document);
            }
            Err(error) => {
                skipped.insert(id, error.to_string());
            }
        }
    }
    for (id, error) in skipped {
        output::note(&format!("{id} is left out: {error}"));
    }
    Ok(skills)
}

fn read_requests(path: &Path) -> Result<Vec<Request>, CliError> {
    let usage = |text: String| CliError::new(CliErrorKind::Usage, text);
    let reader: Box<dyn std::io::Read> = if path == Path::new("-") {
        Box::new(std::io::stdin())
    } else {
        let file = std::fs::File::open(path)
            .map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?;
        Box::new(file)
    };
    (1..)
        .zip(BufReader::new(reader).lines())
        .map(|(number, line)| {
            let line = line.map_err(|error| usage(format!("cannot read {}: {error}", path.display())))?;
            serde_json::from_str(&line).map_err(|error| {
                usage(format!(
                    "line {number} of {}: {error}; expected {{\"query\": \"…\", \"skill\": \"…\"}}",
                    path.display()
                ))
            })
        })
        .collect()
}
