//! `search_skills`: ranked skills for a task in plain words, or all skills in the order of their slugs.

use schemars::JsonSchema;
use serde::Deserialize;

use super::ToolError;
use super::assistant::Assistant;
use super::error::ArgumentError;
use super::search_answer::{self, SearchSkillsOutput, SkillHit};
use super::search_filter::{Filter, FilterArguments, Match, Sort};
use super::search_ranking::{self, Known, Position};
use super::tool::{CallContext, Done, Tool};
use crate::ids::SkillId;
use crate::registry::listing;
use skill_search::Query;

const DEFAULT_LIMIT: u32 = 10;
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
    /// Without those made for other assistants.
    #[serde(default)]
    assistant: Option<Assistant>,
    /// Only with this mean rating or more.
    #[serde(default)]
    #[schemars(range(min = 1, max = 5))]
    min_stars: Option<u8>,
    /// Only changed since this day, e.g. `2026-01-31`.
    #[serde(default)]
    #[schemars(length(min = 1, max = 10))]
    updated_since: Option<String>,
    /// true: only what you installed; false: only the rest.
    #[serde(default)]
    installed: Option<bool>,
    /// List your own skills in every state instead; takes no query and no filters.
    #[serde(default)]
    mine: bool,
    #[serde(default)]
    sort: Sort,
    /// Count categories, tags, authors and assistants of the first 100 hits.
    #[serde(default)]
    facets: bool,
    /// Hits per page; default 10.
    #[serde(default)]
    #[schemars(range(min = 1, max = 50))]
    limit: Option<u32>,
    /// next_cursor of the page before, with the same query and filters.
    #[serde(default)]
    #[schemars(length(min = 1, max = 400))]
    cursor: Option<String>,
}

impl SearchSkills {
    fn filters(&self) -> FilterArguments<'_> {
        FilterArguments {
            tag: self.tag.as_deref(),
            category: self.category.as_deref(),
            author: self.author.as_deref(),
            assistant: self.assistant,
            min_stars: self.min_stars,
            updated_since: self.updated_since.as_deref(),
            installed: self.installed,
            mine: self.mine,
            sort: self.sort,
        }
    }
}

impl Tool for SearchSkills {
    const TITLE: &'static str = "Search skills";
    const DESCRIPTION: &'static str = "Find skills (tested instructions) in the organisation's registry for a task, best first. Call it before you start \
         a task that someone may have solved before.";
    type Output = SearchSkillsOutput;

    fn check(&self) -> Result<(), ArgumentError> {
        let filters = self.filters();
        let is_query = self.query.as_ref().is_some_and(|query| !query.trim().is_empty());
        let is_other = self.facets || self.sort != Sort::Relevance;
        if self.mine && (is_query || is_other || filters.is_filtered()) {
            return Err(ArgumentError::MineWithFilters);
        }
        filters.since().map(drop)
    }

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<SearchSkillsOutput>, ToolError> {
        let query = self.query.as_deref().unwrap_or_default();
        let filter = Filter::new(cx, query, &self.filters()).await?;
        let position = match &self.cursor {
            Some(cursor) => Position::read(cursor, &filter)?,
            None => Position::Start,
        };
        let limit = usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
        if self.mine {
            return mine(cx, &filter, &position, limit).await;
        }
        let page = search_ranking::page(cx, &filter, &position, limit, self.facets).await?;
        let is_first_of_list = filter.query.is_empty() && position == Position::Start;
        let labels = if !page.counted.is_empty() {
            search_answer::labels_of(&page.catalog, &page.counted)
        } else if page.matches.is_empty() || is_first_of_list || self.facets {
            // Without a hit, what there is instead.
            search_answer::labels(&page.catalog, &filter, !page.matches.is_empty())
        } else {
            search_answer::Labels::default()
        };
        drop(page.catalog);
        let hits = hits(cx, &filter, &page.matches, page.known).await?;
        let count = hits.len();
        let is_weak = search_answer::is_weak(&Query::new(&filter.query), &page.matches);
        let mut output = SearchSkillsOutput {
            next_step: search_answer::noted(page.words_only, next_step(&filter, &page.matches, is_weak)),
            unmatched: search_answer::unmatched(&filter.query, &page.matches),
            corrected: search_answer::corrected(&page.matches),
            hits: if filter.query.is_empty() {
                hits
            } else {
                search_answer::fold_copies(hits)
            },
            next_cursor: page.next.map(|next| next.write(&filter)),
            categories: labels.categories,
            tags: labels.tags,
            authors: labels.authors.filter(|_| self.facets),
            assistants: labels.assistants.filter(|_| self.facets),
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

/// What the answer shows of the matches.
async fn hits(
    cx: &CallContext<'_>,
    filter: &Filter<'_>,
    matches: &[Match],
    mut known: Known,
) -> Result<Vec<SkillHit>, ToolError> {
    let ids: Vec<SkillId> = matches.iter().map(|found| found.skill).collect();
    known.complete(cx.tx, &ids).await?;
    let hit = |found: &Match| {
        let summary = known.summaries.get(&found.skill)?;
        let numbers = known.numbers.get(&found.skill).copied().unwrap_or_default();
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
