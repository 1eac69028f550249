//! The search of skillkeep.

use skill_search::{Document, Query, SearchIndex};

use crate::corpus::Skill;
use crate::{Engine, K};

pub(crate) struct Own(SearchIndex<usize>);

impl Own {
    pub(crate) fn new(skills: &[&Skill]) -> Self {
        let mut index = SearchIndex::new();
        for (number, skill) in skills.iter().enumerate() {
            index.upsert(&Document {
                id: number,
                name: skill.document.name.as_str(),
                description: &skill.document.description,
                tags: &[],
                headings: &skill.document.headings,
                body: &skill.document.body,
            });
        }
        Self(index)
    }
}

impl Engine for Own {
    fn search(&mut self, query: &str) -> Vec<usize> {
        let hits = self.0.search(&Query::new(query), K, |_| true);
        hits.into_iter().map(|hit| hit.id).collect()
    }
}
