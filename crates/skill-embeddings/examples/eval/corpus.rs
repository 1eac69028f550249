//! Reads the corpus: skills, requests and wishes.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use agent_skills::{SkillDocument, read_document};
use flate2::read::MultiGzDecoder;
use serde::Deserialize;
use skill_embeddings::text_of;
use skill_search::{Document, SearchIndex};

/// Sets of wishes, one wish per line, each in other words than its skill. `others` are skills that fulfil it as well: the first five of
/// words alone, of meaning alone and of what searches do were judged by a language model that did not know which of them had found a skill.
///
/// The rule for kept places was chosen with the first set in view. The skills of the second set were drawn at random later, and its
/// wishes were written by a language model from the skills' texts, without a search.
const WISHES: [(&str, &str); 2] = [
    ("wishes", include_str!("../wishes.jsonl")),
    ("wishes for drawn skills", include_str!("../wishes-drawn.jsonl")),
];

pub(crate) struct Skills {
    /// `owner/name`, sorted. The index is the ID of the skill.
    pub(crate) ids: Vec<String>,
    pub(crate) documents: Vec<SkillDocument>,
}

pub(crate) struct Request {
    pub(crate) text: String,
    /// The skill that it was written for.
    pub(crate) skill: usize,
    /// Skills that fulfil it as well, as far as they were judged.
    pub(crate) others: Vec<usize>,
}

impl Skills {
    pub(crate) fn read(archive: &Path) -> Self {
        let file = File::open(archive).expect("skills-md.tar.gz can be opened");
        let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
        let mut skills = BTreeMap::new();
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
                .to_string_lossy();
            let id = parent.trim_start_matches("./").to_owned();
            let folder = id.rsplit('/').next().unwrap_or(&id);
            match read_document(&bytes, folder) {
                Ok(document) => {
                    skills.insert(id, document);
                }
                Err(error) => eprintln!("{id} is not indexed: {error}"),
            }
        }
        let (ids, documents) = skills.into_iter().unzip();
        Self { ids, documents }
    }

    /// What is embedded.
    pub(crate) fn texts(&self) -> Vec<String> {
        let text = |document: &SkillDocument| {
            text_of(document.name.as_str(), &document.description, &document.headings)
        };
        self.documents.iter().map(text).collect()
    }

    /// An index of some of the skills.
    pub(crate) fn index(&self, some: impl Iterator<Item = usize>) -> SearchIndex<usize> {
        let mut index = SearchIndex::new();
        for id in some {
            let document = &self.documents[id];
            index.upsert(&Document {
                id,
                name: document.name.as_str(),
                description: &document.description,
                // Few skills have tags; the quality is measured without them.
                tags: &[],
                headings: &document.headings,
                body: &document.body,
            });
        }
        index
    }

    pub(crate) fn requests(&self, file: &Path) -> Vec<Request> {
        let file = File::open(file).expect("queries-dev.jsonl.gz can be opened");
        let lines = BufReader::new(MultiGzDecoder::new(file)).lines();
        lines
            .map(|line| self.request(&line.expect("each line is UTF-8")))
            .collect()
    }

    /// The sets of wishes, with their titles.
    pub(crate) fn wishes(&self) -> Vec<(&'static str, Vec<Request>)> {
        let of_lines = |lines: &str| lines.lines().map(|line| self.request(line)).collect();
        WISHES.map(|(title, lines)| (title, of_lines(lines))).into()
    }

    pub(crate) fn request(&self, line: &str) -> Request {
        #[derive(Deserialize)]
        struct Line {
            #[serde(alias = "wish")]
            query: String,
            skill: String,
            #[serde(default)]
            others: Vec<String>,
        }
        let line: Line = serde_json::from_str(line).expect("each line is a request in JSON");
        let position = |id: &String| {
            let found = self.ids.binary_search(id);
            found.expect("each request names skills of the corpus")
        };
        Request {
            text: line.query,
            skill: position(&line.skill),
            others: line.others.iter().map(position).collect(),
        }
    }
}

/// Assigns each skill to half 0 or 1 by the FNV-1a hash of its ID, so no skill has requests in both halves.
pub(crate) fn half(skill: &str) -> usize {
    let hash = skill.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    });
    usize::from((hash >> 32) & 1 == 1)
}
