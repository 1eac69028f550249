//! Skills and requests.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;

use agent_skills::{SkillDocument, read_document};
use flate2::read::MultiGzDecoder;

pub(crate) struct Skill {
    pub(crate) document: SkillDocument,
}

pub(crate) struct Request {
    pub(crate) query: String,
    /// The number of the right skill.
    pub(crate) skill: usize,
}

pub(crate) struct Corpus {
    pub(crate) skills: Vec<Skill>,
    pub(crate) requests: Vec<Request>,
}

impl Corpus {
    pub(crate) fn read() -> Self {
        let folder =
            std::env::var_os("SKILLKEEP_CORPUS").expect("SKILLKEEP_CORPUS names the folder of the corpus");
        let folder = Path::new(&folder);
        let (mut skills, mut numbers) = (Vec::new(), HashMap::new());
        let file = File::open(folder.join("skills-md.tar.gz")).expect("skills-md.tar.gz can be opened");
        let mut archive = tar::Archive::new(MultiGzDecoder::new(BufReader::new(file)));
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
            let name = id.rsplit('/').next().unwrap_or(&id);
            if let Ok(document) = read_document(&bytes, name) {
                numbers.insert(id, skills.len());
                skills.push(Skill { document });
            }
        }
        let file =
            File::open(folder.join("queries-dev.jsonl.gz")).expect("queries-dev.jsonl.gz can be opened");
        let requests = BufReader::new(MultiGzDecoder::new(file))
            .lines()
            .filter_map(|line| {
                let line = line.expect("each line is UTF-8");
                let value: serde_json::Value = serde_json::from_str(&line).expect("each line is JSON");
                Some(Request {
                    query: value["query"].as_str()?.to_owned(),
                    skill: *numbers.get(value["skill"].as_str()?)?,
                })
            });
        let requests = requests.collect();
        Self { skills, requests }
    }

    /// So many skills: the first ones, or all of them again and again.
    pub(crate) fn repeated(&self, count: usize) -> Vec<&Skill> {
        self.skills.iter().cycle().take(count).collect()
    }
}
