//! `search_skills`: ranked skills for a task in plain words, or all of them in order.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{CallContext, Done, SideEffect, Tool, ToolError, limits};
use crate::ids::SkillId;
use crate::registry::cursor::{self, InvalidCursor};
use crate::registry::skills::{self, SkillSummary};
use crate::search::{Facets, TenantCatalog};
use crate::tenancy::{Principal, Scope};
use skill_search::Query;

const LIMIT: std::ops::RangeInclusive<u32> = 1..=50;
const DEFAULT_LIMIT: u32 = 10;
const QUERY_CHARS: usize = 2000;
/// Ranks beyond this are not looked at: nobody reads the thousandth hit, and each page ranks those before it again.
const MAX_RANK: usize = 1000;
/// Words of the query that a hit's reason names at most.
const WHY_TERMS: usize = 8;

/// What to look for.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchSkills {
    /// The task in plain words, in any language. Quotes, brackets and operators have no special meaning. Left out or
    /// empty, all skills are listed in the order of their names.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    query: Option<String>,
    /// Only skills with this tag.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    tag: Option<String>,
    /// Only skills of this category.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    category: Option<String>,
    /// Only skills by this author.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    author: Option<String>,
    /// How many to return at most; 10 when left out.
    #[serde(default)]
    #[schemars(range(min = 1, max = 50))]
    limit: Option<u32>,
    /// The next_cursor of the answer before, to go on from there with the same words and filters.
    #[serde(default)]
    #[schemars(length(min = 1, max = 400))]
    cursor: Option<String>,
}

/// One skill that was found.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SkillHit {
    /// The skill's slug: what the other tools call it.
    skill: String,
    /// What it calls itself.
    name: String,
    /// What it is for.
    description: String,
    /// Its latest version.
    version: String,
    /// Its category.
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    /// Its tags.
    tags: Vec<String>,
    /// Its author.
    #[serde(skip_serializing_if = "Option::is_none")]
    author: Option<String>,
    /// Its licence.
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<String>,
    /// When it last changed, RFC 3339.
    updated_at: String,
    /// How well it fits: higher is better, comparable within one answer. Absent in a plain list.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    /// The words of the query that it holds, and where. Absent in a plain list.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// The skills that were found, best first.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SearchSkillsOutput {
    /// The skills.
    hits: Vec<SkillHit>,
    /// Give this as cursor to get more; absent at the end.
    #[serde(skip_serializing_if = "Option::is_none")]
    next_cursor: Option<String>,
    /// What to do when nothing was found.
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
}

impl Tool for SearchSkills {
    const NAME: &'static str = "search_skills";
    const TITLE: &'static str = "Search skills";
    const DESCRIPTION: &'static str = "Finds skills in this organisation's registry for a task described in plain words, best first, with a short reason for \
         each. Call it before starting a task that somebody may have solved before. Then read one with get_skill or install \
         it with install_skill.";
    const SCOPE: Option<Scope> = Some(Scope::SkillsRead);
    const EFFECT: SideEffect = SideEffect::Reads;
    type Output = SearchSkillsOutput;

    fn check(&self) -> Result<(), String> {
        limits::optional_text("query", self.query.as_deref(), &(0..=QUERY_CHARS))?;
        limits::optional_text("tag", self.tag.as_deref(), &(1..=64))?;
        limits::optional_text("category", self.category.as_deref(), &(1..=64))?;
        limits::optional_text("author", self.author.as_deref(), &(1..=200))?;
        limits::optional_within("limit", self.limit, &LIMIT)?;
        limits::optional_text("cursor", self.cursor.as_deref(), &(1..=400))
    }

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
        let ids: Vec<SkillId> = page.hits.iter().map(|hit| hit.skill).collect();
        let summaries = if ids.is_empty() {
            Vec::new()
        } else {
            skills::summaries(cx.tx, &ids).await?
        };
        let hits: Vec<SkillHit> = page
            .hits
            .iter()
            .filter_map(|chosen| {
                summaries
                    .iter()
                    .find(|card| card.id == chosen.skill)
                    .map(|card| hit(card, chosen))
            })
            .collect();
        let count = i32::try_from(hits.len()).unwrap_or(i32::MAX);
        let hint = hits.is_empty().then(|| {
            "Nothing fits. Try other words or fewer filters; without a query, search_skills lists everything.".to_owned()
        });
        let next_cursor = page.next.map(|next| next.write(&filter));
        let mut done = Done::new(SearchSkillsOutput {
            hits,
            next_cursor,
            hint,
        });
        done.result_count = Some(count);
        Ok(done)
    }
}

/// The words and filters of a search, in the form in which they are compared.
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

    /// What a cursor is bound to, beside the tenant: the words and filters of the search.
    fn list(&self) -> String {
        format!(
            "{} {:?}",
            SearchSkills::NAME,
            (&self.query, &self.tag, &self.category, &self.author)
        )
    }

    fn keeps(&self, facets: &Facets) -> bool {
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

struct Chosen {
    skill: SkillId,
    ranked: Option<(f32, String)>,
}

struct Page {
    hits: Vec<Chosen>,
    next: Option<Position>,
}

fn list(catalog: &TenantCatalog, filter: &Filter<'_>, position: &Position, limit: usize) -> Page {
    let after = match position {
        Position::After(slug) => Some(slug.as_str()),
        Position::Start | Position::Rank(_) => None,
    };
    let mut kept = catalog
        .in_order(after)
        .filter(|(_, skill)| catalog.facets(*skill).is_some_and(|facets| filter.keeps(facets)));
    let page: Vec<(&str, SkillId)> = kept.by_ref().take(limit).collect();
    let next = match (kept.next(), page.last()) {
        (Some(_), Some((slug, _))) => Some(Position::After((*slug).to_owned())),
        (Some(_) | None, _) => None,
    };
    Page {
        hits: page
            .into_iter()
            .map(|(_, skill)| Chosen { skill, ranked: None })
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
    // One more than the page, to know whether there is another.
    let hits = catalog.search(&query, until + 1, |facets| filter.keeps(facets));
    let more = hits.len() > until && until < MAX_RANK;
    let hits = hits
        .into_iter()
        .take(until)
        .skip(from)
        .map(|hit| Chosen {
            skill: hit.id,
            ranked: Some((hit.score, hit.why(WHY_TERMS))),
        })
        .collect();
    Page {
        hits,
        next: more.then_some(Position::Rank(until)),
    }
}

fn hit(card: &SkillSummary, chosen: &Chosen) -> SkillHit {
    let (score, why) = chosen.ranked.clone().unzip();
    SkillHit {
        skill: card.slug.clone(),
        name: card.name.clone(),
        description: card.description.clone(),
        version: card.version.clone(),
        category: card.category.clone(),
        tags: card.tags.clone(),
        author: card.author.clone(),
        license: card.license.clone(),
        updated_at: card.updated_at.to_string(),
        score,
        why,
    }
}

/// Where a page begins. Written as an opaque cursor that is bound to the tenant, the words and the filters.
#[derive(Debug, PartialEq, Eq)]
enum Position {
    Start,
    Rank(usize),
    After(String),
}

impl Position {
    fn write(&self, filter: &Filter<'_>) -> String {
        let place = match self {
            Self::Start => String::new(),
            Self::Rank(rank) => format!("r{rank}"),
            Self::After(slug) => format!("a{slug}"),
        };
        cursor::write(filter.principal, &filter.list(), &place)
    }

    fn read(text: &str, filter: &Filter<'_>) -> Result<Self, InvalidCursor> {
        let place = cursor::read(filter.principal, &filter.list(), text)?;
        let position = match place.split_at_checked(1) {
            Some(("r", rank)) => rank.parse().ok().filter(|rank| *rank <= MAX_RANK).map(Self::Rank),
            Some(("a", slug)) => Some(Self::After(slug.to_owned())),
            Some(_) | None => None,
        };
        position.ok_or(InvalidCursor)
    }
}
