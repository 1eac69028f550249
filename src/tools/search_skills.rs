//! `search_skills`: ranked skills for a task in plain words, or all skills in the order of their slugs.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ToolError;
use super::error::ArgumentError;
use super::search_answer::{self, SearchSkillsOutput, SkillHit};
use super::search_filter::{Filter, Match};
use super::tool::{CallContext, Done, Tool};
use crate::ids::SkillId;
use crate::registry::cursor::{self, InvalidCursor};
use crate::registry::{listing, skills, usage};
use crate::search::{Facets, TenantCatalog};
use skill_search::Query;
use tokio::sync::OwnedRwLockReadGuard;

const DEFAULT_LIMIT: u32 = 10;
/// Later ranks are not returned: each page ranks all pages before it again.
const MAX_RANK: usize = 1000;
/// The number of query terms that `why` names.
const WHY_TERMS: usize = 5;
const NO_HIT: &str = "No skill matches: try other words or fewer filters, or omit `query` to list all.";
const WEAK: &str = "Weak: the best hits hold at most half of the query's words. Read one with get_skill before you rely on it, or \
                    try other words.";
const RANKED: &str = "Read a hit with get_skill and file SKILL.md before you follow or install it.";
const OWN: &str = "get_skill shows the versions of a skill and their reviews.";
const NONE_OWN: &str = "You own no skill: publish one with publish_skill.";
const LISTED: &str = "Pass `query` to rank the skills for a task, or read one with get_skill.";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SearchSkills {
    /// The task in plain words, e.g. `fill in a PDF form`, in the language of the skills: nothing is translated. Omitted: lists
    /// all by slug.
    #[serde(default)]
    #[schemars(length(max = 2000))]
    query: Option<String>,
    /// Only with this tag, e.g. `pdf`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    tag: Option<String>,
    /// Only of this category, e.g. `office`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 64))]
    category: Option<String>,
    /// Only of this author, e.g. `Ada`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 200))]
    author: Option<String>,
    /// List your own skills in every state instead; takes no query and no filters.
    #[serde(default)]
    mine: bool,
    /// Hits per page; default 10.
    #[serde(default)]
    #[schemars(range(min = 1, max = 50))]
    limit: Option<u32>,
    /// next_cursor of the page before, with the same query and filters.
    #[serde(default)]
    #[schemars(length(min = 1, max = 400))]
    cursor: Option<String>,
}

impl Tool for SearchSkills {
    const TITLE: &'static str = "Search skills";
    const DESCRIPTION: &'static str = "Find skills (tested instructions) in the organisation's registry for a task, best first. Call it before you start \
         a task that someone may have solved before.";
    type Output = SearchSkillsOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        let is_query = self.query.as_ref().is_some_and(|query| !query.trim().is_empty());
        let is_filtered = self.tag.is_some() || self.category.is_some() || self.author.is_some();
        if self.mine && (is_query || is_filtered) {
            return Err(ArgumentError::MineWithFilters);
        }
        Ok(())
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<SearchSkillsOutput>, ToolError> {
        let labels = [&self.tag, &self.category, &self.author].map(Option::as_deref);
        let filter = Filter::new(cx.principal, self.query.as_deref(), self.mine, labels);
        let position = match &self.cursor {
            Some(cursor) => Position::read(cursor, &filter)?,
            None => Position::Start,
        };
        let limit = usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
        if self.mine {
            return mine(cx, &filter, &position, limit).await;
        }
        let (catalog, page) = if filter.query.is_empty() {
            let catalog = cx
                .search
                .current(cx.tx, Some(cx.principal.catalog_revision))
                .await?;
            let page = list(&catalog, &filter, &position, limit);
            (catalog, page)
        } else {
            rank(cx, &filter, &position, limit).await?
        };
        let is_first_of_list = filter.query.is_empty() && position == Position::Start;
        let (categories, tags) = if page.matches.is_empty() || is_first_of_list {
            search_answer::labels(&catalog, &filter)
        } else {
            (None, None)
        };
        drop(catalog);
        let hits = hits(cx, &filter, &page.matches).await?;
        let count = hits.len();
        let is_weak = search_answer::is_weak(&Query::new(&filter.query), &page.matches);
        let mut output = SearchSkillsOutput {
            next_step: next_step(&filter, &page.matches, is_weak).to_owned(),
            unmatched: search_answer::unmatched(&filter.query, &page.matches),
            corrected: search_answer::corrected(&page.matches),
            hits: if filter.query.is_empty() {
                hits
            } else {
                search_answer::fold_copies(hits)
            },
            next_cursor: page.next.map(|next| next.write(&filter)),
            categories,
            tags,
        };
        search_answer::shorten(&mut output, &filter.query);
        Ok(Done::new(output).with_result_count(count).with_weak_hits(is_weak))
    }
}

/// The caller's own skills, by slug.
async fn mine(
    cx: &CallContext<'_>,
    filter: &Filter<'_>,
    position: &Position,
    limit: usize,
) -> Result<Done<SearchSkillsOutput>, ToolError> {
    let after = match position {
        Position::After(slug) => slug.as_str(),
        Position::Start | Position::Rank(_) => "",
    };
    // One more than the page, to know whether there is a next page.
    let rows = i64::try_from(limit + 1).unwrap_or(i64::MAX);
    let mut skills = listing::mine(cx.tx, cx.principal.user, after, rows).await?;
    let has_more = skills.len() > limit;
    skills.truncate(limit);
    let last = skills.last().filter(|_| has_more).map(|last| last.slug.clone());
    skills.retain(|skill| cx.principal.can_view_skill(&skill.slug));
    let count = skills.len();
    let mut output = SearchSkillsOutput {
        hits: skills.into_iter().map(SkillHit::of_own).collect(),
        next_cursor: last.map(|slug| Position::After(slug).write(filter)),
        next_step: if count == 0 { NONE_OWN } else { OWN }.to_owned(),
        ..SearchSkillsOutput::default()
    };
    search_answer::shorten(&mut output, "");
    Ok(Done::new(output).with_result_count(count))
}

async fn hits(
    cx: &CallContext<'_>,
    filter: &Filter<'_>,
    matches: &[Match],
) -> Result<Vec<SkillHit>, ToolError> {
    let ids: Vec<SkillId> = matches.iter().map(|found| found.skill).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let (summaries, numbers) =
        futures::try_join!(skills::summaries(cx.tx, &ids), usage::of_skills(cx.tx, &ids))?;
    let hit = |found: &Match| {
        let summary = summaries.iter().find(|summary| summary.id == found.skill)?;
        let numbers = numbers.get(&found.skill).copied().unwrap_or_default();
        Some(SkillHit::new(summary, numbers, found, filter.category.is_some()))
    };
    Ok(matches.iter().filter_map(hit).collect())
}

fn next_step(filter: &Filter<'_>, matches: &[Match], is_weak: bool) -> &'static str {
    if matches.is_empty() {
        NO_HIT
    } else if filter.query.is_empty() {
        LISTED
    } else if is_weak {
        WEAK
    } else {
        RANKED
    }
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
    let mut remaining = catalog
        .in_order(after)
        .filter(|(_, facets)| filter.matches(facets));
    let page: Vec<(SkillId, Facets<'_>)> = remaining.by_ref().take(limit).collect();
    let next = match (remaining.next(), page.last()) {
        (Some(_), Some((_, facets))) => Some(Position::After(facets.slug.to_owned())),
        (Some(_) | None, _) => None,
    };
    Page {
        matches: page
            .into_iter()
            .map(|(skill, _)| Match {
                skill,
                why: None,
                words: Vec::new(),
                corrected: Vec::new(),
                signature: 0,
            })
            .collect(),
        next,
    }
}

async fn rank(
    cx: &CallContext<'_>,
    filter: &Filter<'_>,
    position: &Position,
    limit: usize,
) -> Result<(OwnedRwLockReadGuard<TenantCatalog>, Page), ToolError> {
    let from = match position {
        Position::Rank(rank) => *rank,
        Position::Start | Position::After(_) => 0,
    };
    let until = (from + limit).min(MAX_RANK);
    let slug = filter.query.to_lowercase().replace([' ', '_'], "-");
    let is_exact = |facets: &Facets<'_>| facets.slug == slug;
    let others = |facets: &Facets<'_>| filter.matches(facets) && !is_exact(facets);
    // One more than the page, to know whether there is a next page.
    let limit = until + 1;
    let query = Query::new(&filter.query);
    let revision = Some(cx.principal.catalog_revision);
    let found = cx.search.search(cx.tx, revision, &query, limit, others).await?;
    let exact = exact_slug(&found.catalog, filter, &slug);
    let others = found.hits.into_iter().map(|hit| Match {
        skill: hit.id,
        why: Some(hit.why(WHY_TERMS)),
        words: hit.matched.into_iter().map(|matched| matched.term).collect(),
        corrected: hit.corrected,
        signature: hit.signature,
    });
    let exact = exact.map(|skill| Match {
        skill,
        why: Some("its slug".to_owned()),
        words: filter
            .query
            .split(|c: char| !c.is_alphanumeric())
            .map(str::to_owned)
            .collect(),
        corrected: Vec::new(),
        signature: 0,
    });
    let mut matches: Vec<Match> = exact.into_iter().chain(others).collect();
    let has_more = matches.len() > until && until < MAX_RANK;
    matches.truncate(until);
    let page = Page {
        matches: matches.into_iter().skip(from).collect(),
        next: has_more.then_some(Position::Rank(until)),
    };
    Ok((found.catalog, page))
}

/// The skill whose slug is the query: it is the first hit, before hits with a higher score.
fn exact_slug(catalog: &TenantCatalog, filter: &Filter<'_>, slug: &str) -> Option<SkillId> {
    let skill = catalog.find(slug)?;
    let facets = catalog.facets(skill)?;
    filter.matches(&facets).then_some(skill)
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
