//! What a search asks for, and what it finds.

use super::name::ToolName;
use crate::ids::SkillId;
use crate::search::Facets;
use crate::tenancy::Principal;
use skill_search::Correction;

/// Query and filters, normalised for comparison.
pub(super) struct Filter<'a> {
    pub(super) query: String,
    tag: Option<String>,
    pub(super) category: Option<String>,
    author: Option<String>,
    mine: bool,
    pub(super) principal: &'a Principal,
}

impl<'a> Filter<'a> {
    pub(super) fn new(
        principal: &'a Principal,
        query: Option<&str>,
        mine: bool,
        labels: [Option<&str>; 3],
    ) -> Self {
        let lower = |text: Option<&str>| text.map(|text| text.trim().to_lowercase());
        let [tag, category, author] = labels.map(lower);
        Self {
            query: query.unwrap_or_default().trim().to_owned(),
            tag,
            category,
            author,
            mine,
            principal,
        }
    }

    /// What a cursor is bound to besides the tenant.
    pub(super) fn list_id(&self) -> String {
        format!(
            "{} {:?}",
            ToolName::SearchSkills.as_str(),
            (&self.query, &self.tag, &self.category, &self.author, self.mine)
        )
    }

    pub(super) fn can_view(&self, facets: &Facets<'_>) -> bool {
        self.principal.can_view_skill(facets.slug)
    }

    pub(super) fn matches(&self, facets: &Facets<'_>) -> bool {
        let has_tag = |wanted: &str| facets.tags().any(|tag| tag == wanted);
        self.tag.as_deref().is_none_or(has_tag)
            && self
                .category
                .as_deref()
                .is_none_or(|category| facets.category() == Some(category))
            && self
                .author
                .as_deref()
                .is_none_or(|author| facets.author() == Some(author))
            && self.can_view(facets)
    }
}

pub(super) struct Match {
    pub(super) skill: SkillId,
    /// The reason. `None` in a list without a query.
    pub(super) why: Option<String>,
    /// The words of the query that the skill holds.
    pub(super) words: Vec<String>,
    /// Words of the query that the skill holds in another spelling only.
    pub(super) corrected: Vec<Correction>,
    /// The signature of the body, to recognise near-copies. 0: unknown.
    pub(super) signature: u64,
}
