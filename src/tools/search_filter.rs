//! What a search asks for, and what it finds.

use std::collections::HashSet;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use schemars::JsonSchema;
use serde::Deserialize;
use skill_search::Correction;

use super::assistant::Assistant;
use super::error::ArgumentError;
use super::name::ToolName;
use super::tool::CallContext;
use crate::db::DbError;
use crate::ids::SkillId;
use crate::registry::{installed, ratings};
use crate::search::Facets;
use crate::tenancy::Principal;

/// The order of hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Sort {
    // The best match first; without a query, by slug.
    #[default]
    Relevance,
    // The last changed first.
    Updated,
    // The most confirmed installs first.
    Installs,
    // The highest mean rating first.
    Stars,
}

/// The filters of a search, as the caller gives them.
#[derive(Debug, Default)]
pub(super) struct FilterArguments<'a> {
    pub(super) tag: Option<&'a str>,
    pub(super) category: Option<&'a str>,
    pub(super) author: Option<&'a str>,
    pub(super) assistant: Option<Assistant>,
    pub(super) min_stars: Option<u8>,
    pub(super) updated_since: Option<&'a str>,
    pub(super) installed: Option<bool>,
    pub(super) mine: bool,
    pub(super) sort: Sort,
}

impl FilterArguments<'_> {
    /// Whether something else than the order or `mine` is given.
    pub(super) const fn is_filtered(&self) -> bool {
        self.tag.is_some()
            || self.category.is_some()
            || self.author.is_some()
            || self.assistant.is_some()
            || self.min_stars.is_some()
            || self.updated_since.is_some()
            || self.installed.is_some()
    }

    /// When `updated_since` begins in UTC, in seconds since 1970.
    pub(super) fn since(&self) -> Result<Option<i64>, ArgumentError> {
        let Some(text) = self.updated_since else {
            return Ok(None);
        };
        let date: Date = text.trim().parse().map_err(|_| ArgumentError::Date)?;
        let start = date.to_zoned(TimeZone::UTC).map_err(|_| ArgumentError::Date)?;
        Ok(Some(start.timestamp().as_second()))
    }
}

/// Query and filters, normalised for comparison.
pub(super) struct Filter<'a> {
    pub(super) query: String,
    tag: Option<String>,
    pub(super) category: Option<String>,
    author: Option<String>,
    assistant: Option<Assistant>,
    min_stars: Option<u8>,
    since: Option<i64>,
    installed: Option<bool>,
    mine: bool,
    pub(super) sort: Sort,
    /// The skills that have the rating, if one is asked for.
    rated: HashSet<SkillId>,
    /// The skills that the caller has installed, if the filter needs them.
    own_installs: HashSet<SkillId>,
    pub(super) principal: &'a Principal,
}

impl<'a> Filter<'a> {
    /// Reads what the filters need from the database.
    pub(super) async fn new(
        cx: &CallContext<'a>,
        query: &str,
        arguments: &FilterArguments<'_>,
    ) -> Result<Self, DbError> {
        let lower = |text: Option<&str>| text.map(|text| text.trim().to_lowercase());
        let rated = match arguments.min_stars {
            Some(stars) => ratings::at_least(cx.tx, stars).await?,
            None => HashSet::new(),
        };
        let own_installs = match arguments.installed {
            Some(_) => installed::of_user(cx.tx, cx.principal.user).await?,
            None => HashSet::new(),
        };
        Ok(Self {
            query: query.trim().to_owned(),
            tag: lower(arguments.tag),
            category: lower(arguments.category),
            author: lower(arguments.author),
            assistant: arguments.assistant,
            min_stars: arguments.min_stars,
            // Checked before the call runs.
            since: arguments.since().unwrap_or_default(),
            installed: arguments.installed,
            mine: arguments.mine,
            sort: arguments.sort,
            rated,
            own_installs,
            principal: cx.principal,
        })
    }

    /// What a cursor is bound to besides the tenant.
    pub(super) fn list_id(&self) -> String {
        let labels = (&self.query, &self.tag, &self.category, &self.author, self.mine);
        let name = ToolName::SearchSkills.as_str();
        let others = (
            self.assistant,
            self.min_stars,
            self.since,
            self.installed,
            self.sort,
        );
        format!("{name} {labels:?} {others:?}")
    }

    pub(super) fn can_view(&self, facets: &Facets<'_>) -> bool {
        self.principal.can_view_skill(facets.slug)
    }

    pub(super) fn matches(&self, skill: SkillId, facets: &Facets<'_>) -> bool {
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
            && self.assistant.is_none_or(|assistant| is_for(facets, assistant))
            && self.since.is_none_or(|since| facets.updated_second() >= since)
            && (self.min_stars.is_none() || self.rated.contains(&skill))
            && self
                .installed
                .is_none_or(|installed| self.own_installs.contains(&skill) == installed)
            && self.can_view(facets)
    }
}

/// Whether the skill is made for the assistant, or for no particular one.
fn is_for(facets: &Facets<'_>, assistant: Assistant) -> bool {
    let is_generic = matches!(assistant, Assistant::Agents | Assistant::Folder);
    let mut named = facets.assistants().peekable();
    is_generic || named.peek().is_none() || named.any(|name| name == assistant.as_str())
}

#[derive(Debug, Clone)]
pub(super) struct Match {
    pub(super) skill: SkillId,
    /// Higher is better; comparable within one search. 0 in a list without a query.
    pub(super) score: f32,
    /// The reason. `None` in a list without a query.
    pub(super) why: Option<String>,
    /// The words of the query that the skill holds.
    pub(super) words: Vec<String>,
    /// Words of the query that the skill holds in another spelling only.
    pub(super) corrected: Vec<Correction>,
    /// The signature of the body, to recognise near-copies. 0: unknown.
    pub(super) signature: u64,
}

impl Match {
    /// An entry of a list without a query.
    pub(super) const fn listed(skill: SkillId) -> Self {
        Self {
            skill,
            score: 0.0,
            why: None,
            words: Vec::new(),
            corrected: Vec::new(),
            signature: 0,
        }
    }
}
