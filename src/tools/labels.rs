//! The fields that `search_skills` and `get_skill` both show of a skill.

use schemars::JsonSchema;
use serde::Serialize;

use crate::registry::skills::SkillMetadata;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SkillLabels {
    /// Name in the front matter.
    name: String,
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    tags: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<String>,
}

impl From<SkillMetadata> for SkillLabels {
    fn from(metadata: SkillMetadata) -> Self {
        Self {
            name: metadata.name,
            description: metadata.description,
            category: metadata.category,
            tags: metadata.tags,
            author: metadata.author,
            license: metadata.license,
        }
    }
}
