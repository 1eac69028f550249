//! `search_skills`: ranked skills for a task in plain words, or all skills in the order of their slugs.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::ToolError;
use super::labels::SkillLabels;
use super::name::ToolName;
use super::tool::{CallContext, Done, Tool};
use crate::ids::SkillId;
use crate::registry::cursor::{self, InvalidCursor};
use crate::registry::skills::{self, SkillSummary};
use crate::search::{Facets, TenantCatalog};
use crate::tenancy::Principal;
use skill_search::Query;

const DEFAULT_LIMIT: u32 = 10;
/// Later ranks are not returned: each page ranks all pages before it again.
const MAX_RANK: usize = 1000;
/// The number of query terms that `why` names.
const WHY_TERMS: usize = 8;
const NO_RESULT_HINT: &str =
    "No skill matches. Try other words or fewer filters; without a query, search_skills lists all skills.";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchSkills {
    /// The task in plain words, in any language, e.g. `fill in a PDF form`. There are no operators. If omitted or
    /// empty, all skills are listed by slug.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    query: Option<String>,
    /// Only skills with this tag, e.g. `pdf`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    tag: Option<String>,
    /// Only skills of this category, e.g. `office`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    category: Option<String>,
    /// Only skills of this author, e.g. `Ada`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    author: Option<String>,
    /// Maximum number of hits; 10 if omitted.
    #[serde(default)]
    #[schemars(range(min = 1, max = 50))]
    limit: Option<u32>,
    /// next_cursor of the previous page. Keep query and filters unchanged.
    #[serde(default)]
    #[schemars(length(min = 1, max = 400))]
    cursor: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SkillHit {
    /// Slug; the other tools take it as `skill`.
    skill: String,
    #[serde(flatten)]
    labels: SkillLabels,
    /// The latest version.
    version: String,
    /// Last change, RFC 3339.
    updated_at: String,
    /// Higher is better. Comparable within one result; absent without a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    /// The matching words of the query and where they occur. Absent without a query.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SearchSkillsOutput {
    /// Best first.
    hits: Vec<SkillHit>,
    /// Pass it as cursor to get the next page. Absent on the last page.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// What to try if there are no hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Tool for SearchSkills {
    const TITLE: &'static str = "Search skills";
    const DESCRIPTION: &'static str = "Find skills (tested instructions) in the organisation's registry for a task, best first, with a reason for each hit. \
         Call it before you start a task that someone may have solved before. Then read a skill with get_skill or \
         install it with install_skill.";
    type Output = SearchSkillsOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<SearchSkillsOutput>, ToolError> {
        let filter = Filter::new(&self, cx.principal);
        let position = match &self.cursor {
            Some(cursor) => Position::read(cursor, &filter)?,
            None => Position::Start,
        };
        let limit = usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
        let catalog = cx.search.current(cx.tx, cx.principal).await?;
        let page = if filter.query.is_empty() {
            list(&catalog, &filter, &position, limit)
        } else {
            rank(&catalog, &filter, &position, limit)
        };
        drop(catalog);
        let ids: Vec<SkillId> = page.matches.iter().map(|found| found.skill).collect();
        let summaries = if ids.is_empty() {
            Vec::new()
        } else {
            skills::summaries(cx.tx, &ids).await?
        };
        let hits: Vec<SkillHit> = page
            .matches
            .iter()
            .filter_map(|found| {
                let summary = summaries.iter().find(|summary| summary.id == found.skill)?;
                Some(hit(summary, found))
            })
            .collect();
        let count = hits.len();
        let output = SearchSkillsOutput {
            hint: hits.is_empty().then(|| NO_RESULT_HINT.to_owned()),
            hits,
            next_cursor: page.next.map(|next| next.write(&filter)),
        };
        Ok(Done::new(output).with_result_count(count))
    }
}

/// Query and filters, normalised for comparison.
struct Filter<'a> {
    query: String,
    tag: Option<String>,
    category: Option<String>,
    author: Option<String>,
    principal: &'a Principal,
}

impl<'a> Filter<'a> {
    fn new(input: &SearchSkills, principal: &'a Principal) -> Self {
        let lower = |text: &Option<String>| text.as_ref().map(|text| text.trim().to_lowercase());
        Self {
            query: input.query.as_deref().unwrap_or_default().trim().to_owned(),
            tag: lower(&input.tag),
            category: lower(&input.category),
            author: lower(&input.author),
            principal,
        }
    }

    /// What a cursor is bound to besides the tenant.
    fn list_id(&self) -> String {
        format!(
            "{} {:?}",
            ToolName::SearchSkills.as_str(),
            (&self.query, &self.tag, &self.category, &self.author)
        )
    }

    fn matches(&self, facets: &Facets) -> bool {
        self.tag.as_ref().is_none_or(|tag| facets.tags.contains(tag))
            && self
                .category
                .as_ref()
                .is_none_or(|category| facets.category.as_ref() == Some(category))
            && self
                .author
                .as_ref()
                .is_none_or(|author| facets.author.as_ref() == Some(author))
            && self.principal.can_view_skill(&facets.slug)
    }
}

struct Match {
    skill: SkillId,
    /// Score and reason. `None` in a list without a query.
    ranking: Option<(f32, String)>,
}

struct Page {
    matches: Vec<Match>,
    next: Option<Position>,
}

fn list(catalog: &TenantCatalog, filter: &Filter<'_>, position: &Position, limit: usize) -> Page {
    let after = match position {
        Position::After(slug) => Some(slug.as_str()),
        Position::Start | Position::Rank(_) => None,
    };
    let mut remaining = catalog.in_order(after).filter(|(_, skill)| {
        catalog
            .facets(*skill)
            .is_some_and(|facets| filter.matches(facets))
    });
    let page: Vec<(&str, SkillId)> = remaining.by_ref().take(limit).collect();
    let next = match (remaining.next(), page.last()) {
        (Some(_), Some((slug, _))) => Some(Position::After((*slug).to_owned())),
        (Some(_) | None, _) => None,
    };
    Page {
        matches: page
            .into_iter()
            .map(|(_, skill)| Match { skill, ranking: None })
            .collect(),
        next,
    }
}

fn rank(catalog: &TenantCatalog, filter: &Filter<'_>, position: &Position, limit: usize) -> Page {
    let from = match position {
        Position::Rank(rank) => *rank,
        Position::Start | Position::After(_) => 0,
    };
    let until = (from + limit).min(MAX_RANK);
    let query = Query::new(&filter.query);
    // One more than the page, to know whether there is a next page.
    let hits = catalog.index().search(&query, until + 1, |skill| {
        catalog
            .facets(SkillId::from_uuid(skill))
            .is_some_and(|facets| filter.matches(facets))
    });
    let has_more = hits.len() > until && until < MAX_RANK;
    let matches = hits
        .into_iter()
        .take(until)
        .skip(from)
        .map(|hit| Match {
            skill: SkillId::from_uuid(hit.skill),
            ranking: Some((hit.score, hit.why(WHY_TERMS))),
        })
        .collect();
    Page {
        matches,
        next: has_more.then_some(Position::Rank(until)),
    }
}

fn hit(summary: &SkillSummary, found: &Match) -> SkillHit {
    let (score, why) = found.ranking.clone().unzip();
    SkillHit {
        skill: summary.slug.clone(),
        labels: summary.metadata.clone().into(),
        version: summary.version.clone(),
        updated_at: summary.updated_at.to_string(),
        score,
        why,
    }
}

/// Start of a page. Sent as an opaque cursor, bound to the tenant, the query and the filters.
#[derive(Debug, PartialEq, Eq)]
enum Position {
    Start,
    Rank(usize),
    After(String),
}

impl Position {
    fn write(&self, filter: &Filter<'_>) -> String {
        let position = match self {
            Self::Start => String::new(),
            Self::Rank(rank) => format!("r{rank}"),
            Self::After(slug) => format!("a{slug}"),
        };
        cursor::write(filter.principal, &filter.list_id(), &position)
    }

    fn read(text: &str, filter: &Filter<'_>) -> Result<Self, InvalidCursor> {
        let text = cursor::read(filter.principal, &filter.list_id(), text)?;
        let position = match text.split_at_checked(1) {
            Some(("r", rank)) => rank.parse().ok().filter(|rank| *rank <= MAX_RANK).map(Self::Rank),
            Some(("a", slug)) => Some(Self::After(slug.to_owned())),
            Some(_) | None => None,
        };
        position.ok_or(InvalidCursor)
    }
}
