//! What the examples share: the corpus, an index of it, and the measures.
#![allow(dead_code, reason = "each example uses a part")]

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};

use agent_skills::{SkillDocument, read_document};
use flate2::read::MultiGzDecoder;
use skill_search::{Document, SearchIndex};

/// The corpus: `owner/name` and the parsed `SKILL.md`, ordered by the former.
pub(crate) type Skills = BTreeMap<String, SkillDocument>;

/// A request whose one right skill is known.
pub(crate) struct Request {
    pub(crate) query: String,
    /// `owner/name`.
    pub(crate) skill: String,
}

/// The folder that `SKILLKEEP_CORPUS` names.
pub(crate) fn corpus() -> PathBuf {
    let folder = std::env::var_os("SKILLKEEP_CORPUS")
        .expect("set SKILLKEEP_CORPUS to a folder with skills-md.tar.gz and queries-dev.jsonl.gz");
    PathBuf::from(folder)
}

pub(crate) fn read_skills(corpus: &Path) -> Skills {
    let file = File::open(corpus.join("skills-md.tar.gz")).expect("skills-md.tar.gz can be opened");
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
        let parent = path.parent().expect("each SKILL.md is in a folder");
        let id = parent.to_string_lossy().trim_start_matches("./").to_owned();
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

/// Requests, each a line `{"query": …, "skill": "owner/name"}` of a file compressed with gzip.
pub(crate) fn read_requests(file: &Path) -> Vec<Request> {
    let file = File::open(file).expect("the file of requests can be opened");
    BufReader::new(MultiGzDecoder::new(file))
        .lines()
        .map(|line| {
            let line = line.expect("each line is UTF-8");
            let value: serde_json::Value = serde_json::from_str(&line).expect("each line is JSON");
            let text = |key: &str| value[key].as_str().expect("each request is complete").to_owned();
            Request {
                query: text("query"),
                skill: text("skill"),
            }
        })
        .collect()
}

/// An index of the skills. Few of them have tags; the quality is measured without them.
pub(crate) fn index(skills: &Skills) -> SearchIndex<&str> {
    let mut index = SearchIndex::new();
    for (id, document) in skills {
        index.upsert(&Document {
            id: id.as_str(),
            name: document.name.as_str(),
            description: &document.description,
            tags: &[],
            headings: &document.headings,
            body: &document.body,
        });
    }
    index
}

/// Which half of the skills a skill belongs to. The queries for a skill are all in its half.
pub(crate) fn half(skill: &str) -> usize {
    let hash = skill.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    usize::from((hash >> 32) & 1 == 1)
}

/// A small generator of pseudo-random numbers (SplitMix64), so that each run gives the same result.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }
}

/// Mean of values and the half-width of its 95 % confidence interval by bootstrap (500 samples).
pub(crate) fn mean_with_interval(values: &[f64]) -> (f64, f64) {
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    let mut random = Random(1);
    let mut means: Vec<f64> = (0..500)
        .map(|_| {
            let sum: f64 = values.iter().map(|_| values[random.below(values.len())]).sum();
            sum / values.len() as f64
        })
        .collect();
    means.sort_by(f64::total_cmp);
    (mean, (means[487] - means[12]) / 2.0)
}

/// Compares bodies by their pairs of adjacent words.
pub(crate) struct Pairs<'a> {
    skills: &'a Skills,
    cached: HashMap<String, Vec<u64>>,
}

impl<'a> Pairs<'a> {
    pub(crate) fn new(skills: &'a Skills) -> Self {
        Self {
            skills,
            cached: HashMap::new(),
        }
    }

    /// Whether two skills have at least half of their pairs in common.
    pub(crate) fn near(&mut self, one: &str, other: &str) -> bool {
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
