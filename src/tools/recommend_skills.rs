//! `recommend_skills`: skills that would help beside those that are installed.

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use skill_search::{Field, Hit, Query, are_near_duplicates};

use super::ToolError;
use super::labels::excerpt;
use super::schema::without_descriptions;
use super::tool::{CallContext, Done, Tool};
use crate::ids::SkillId;
use crate::registry::{installed, skills};
use crate::search::Facets;

const DEFAULT_LIMIT: u32 = 5;
/// Characters of a part of the text. A query of a search has at most 64 words.
const PART_CHARS: usize = 500;
/// Installed skills that are compared with others.
const MAX_COMPARED: usize = 20;
/// Hits of a search that count.
const HITS: usize = 10;
/// Words of a part of the text that a skill must have, one of them outside of its body.
const MIN_WORDS: usize = 3;
/// Users who must have installed both skills. One would show what a single person installed.
const MIN_USERS: i64 = 2;
const MAX_TOGETHER: i64 = 50;
const MAX_DESCRIPTION_CHARS: usize = 200;
const WHY_WORDS: usize = 5;
const SOME: &str = "Read one with get_skill before you install it.";
const NONE: &str = "Nothing else fits: describe the work in `text`, or search for a task with search_skills.";

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct RecommendSkills {
    /// What you work on: a task, a plan, a README. Omitted: compares with what is installed.
    #[serde(default)]
    #[schemars(length(max = 20_000))]
    text: Option<String>,
    /// Slugs of installed skills, beside those that you confirmed.
    #[serde(default)]
    #[schemars(length(max = 100), inner(length(max = 64)))]
    installed: Vec<String>,
    /// Default 5.
    #[serde(default)]
    #[schemars(range(min = 1, max = 20))]
    limit: Option<u32>,
}

#[derive(Debug, Serialize, JsonSchema)]
struct Recommendation {
    skill: String,
    description: String,
    why: String,
}

#[derive(Debug, Serialize, JsonSchema)]
#[schemars(transform = without_descriptions)]
pub(super) struct RecommendOutput {
    // Best first.
    skills: Vec<Recommendation>,
    next_step: String,
}

/// Why a skill is recommended, and how strongly.
#[derive(Default)]
struct Evidence {
    points: f32,
    signature: u64,
    words: Vec<String>,
    /// Users who installed it together with what the caller has.
    users: i64,
}

impl Evidence {
    fn why(&self) -> String {
        let mut why = Vec::new();
        if !self.words.is_empty() {
            why.push(format!("has: {}", self.words.join(", ")));
        }
        if self.users > 0 {
            why.push(format!("{} users of your skills have it", self.users));
        }
        why.join("; ")
    }

    fn add(&mut self, hit: Hit<SkillId>, rank: usize) {
        // As in reciprocal rank fusion: the first of each part counts most.
        self.points += 1.0 / (rank as f32 + 2.0);
        self.signature = hit.signature;
        for matched in hit.matched {
            let is_new = !self.words.contains(&matched.term);
            if is_new && matched.field != Field::Body && self.words.len() < WHY_WORDS {
                self.words.push(matched.term);
            }
        }
    }
}

/// What the caller has.
#[derive(Default)]
struct Owned {
    skills: HashSet<SkillId>,
    signatures: Vec<u64>,
}

impl Tool for RecommendSkills {
    const TITLE: &'static str = "Recommend skills";
    const DESCRIPTION: &'static str = "Name skills that would help with a text, or beside the installed ones. Never names an installed skill.";
    type Output = RecommendOutput;

    async fn run(self, cx: &CallContext<'_>) -> Result<Done<RecommendOutput>, ToolError> {
        let owned = owned(cx, &self.installed).await?;
        let queries = match self
            .text
            .as_deref()
            .map(str::trim)
            .filter(|text| !text.is_empty())
        {
            Some(text) => parts(text),
            None => descriptions(cx, &owned).await?,
        };
        let mut evidence: HashMap<SkillId, Evidence> = HashMap::new();
        for query in &queries {
            collect(cx, &owned, query, &mut evidence).await?;
        }
        add_installed_together(cx, &owned, &mut evidence).await?;
        let limit = usize::try_from(self.limit.unwrap_or(DEFAULT_LIMIT)).unwrap_or(usize::MAX);
        let best = best(evidence, &owned, limit);
        let ids: Vec<SkillId> = best.iter().map(|(skill, _)| *skill).collect();
        let summaries = skills::summaries(cx.tx, &ids).await?;
        let recommended: Vec<Recommendation> = best
            .iter()
            .filter_map(|(skill, evidence)| {
                let summary = summaries.iter().find(|summary| summary.id == *skill)?;
                Some(Recommendation {
                    skill: summary.slug.clone(),
                    description: excerpt(&summary.metadata.description, MAX_DESCRIPTION_CHARS, ""),
                    why: evidence.why(),
                })
            })
            .collect();
        let count = recommended.len();
        let next_step = if count == 0 { NONE } else { SOME }.to_owned();
        let output = RecommendOutput {
            skills: recommended,
            next_step,
        };
        Ok(Done::new(output).with_result_count(count))
    }
}

/// The skills that the caller confirmed to have installed, and those of these slugs that they can view.
async fn owned(cx: &CallContext<'_>, slugs: &[String]) -> Result<Owned, ToolError> {
    let mut owned = Owned {
        skills: installed::of_user(cx.tx, cx.principal.user).await?,
        signatures: Vec::new(),
    };
    let catalog = cx
        .search
        .current(cx.tx, Some(cx.principal.catalog_revision))
        .await?;
    let visible = |slug: &&String| cx.principal.can_view_skill(slug);
    let named = slugs.iter().filter(visible).filter_map(|slug| catalog.find(slug));
    owned.skills.extend(named);
    // A key that is limited to some skills learns nothing of what its user has besides.
    owned.skills.retain(|skill| {
        let facets = catalog.facets(*skill);
        facets.is_some_and(|facets| cx.principal.can_view_skill(facets.slug))
    });
    owned.signatures = owned
        .skills
        .iter()
        .filter_map(|skill| catalog.signature(*skill))
        .collect();
    Ok(owned)
}

/// The text in parts that are short enough for a query, cut at white space.
fn parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    for word in text.split_whitespace() {
        let is_full = parts
            .last()
            .is_some_and(|part| part.len() + word.len() > PART_CHARS);
        if is_full {
            parts.push(String::new());
        }
        if let Some(part) = parts.last_mut() {
            part.push_str(word);
            part.push(' ');
        }
    }
    parts
}

/// Names and descriptions of installed skills.
async fn descriptions(cx: &CallContext<'_>, owned: &Owned) -> Result<Vec<String>, ToolError> {
    let mut ids: Vec<SkillId> = owned.skills.iter().copied().collect();
    ids.sort_unstable_by_key(|id| *id.as_uuid());
    ids.truncate(MAX_COMPARED);
    let summaries = skills::summaries(cx.tx, &ids).await?;
    Ok(summaries
        .into_iter()
        .map(|summary| format!("{} {}", summary.metadata.name, summary.metadata.description))
        .collect())
}

/// Adds what a search for the text finds.
async fn collect(
    cx: &CallContext<'_>,
    owned: &Owned,
    text: &str,
    evidence: &mut HashMap<SkillId, Evidence>,
) -> Result<(), ToolError> {
    let query = Query::new(text);
    if query.is_empty() {
        return Ok(());
    }
    let may_recommend = |skill: SkillId, facets: &Facets<'_>| {
        cx.principal.can_view_skill(facets.slug) && !owned.skills.contains(&skill)
    };
    let revision = Some(cx.principal.catalog_revision);
    let found = cx
        .search
        // By words alone: a text has up to 40 parts, and each would be embedded.
        .search_words(cx.tx, revision, &query, HITS, &may_recommend)
        .await?;
    let enough = MIN_WORDS.min(query.word_count());
    for (rank, hit) in found.hits.into_iter().enumerate() {
        let is_about = hit.matched.iter().any(|matched| matched.field != Field::Body);
        if is_about && hit.matched.len() >= enough {
            evidence.entry(hit.id).or_default().add(hit, rank);
        }
    }
    Ok(())
}

/// Adds what users who have the same skills installed besides.
async fn add_installed_together(
    cx: &CallContext<'_>,
    owned: &Owned,
    evidence: &mut HashMap<SkillId, Evidence>,
) -> Result<(), ToolError> {
    if owned.skills.is_empty() {
        return Ok(());
    }
    let together = installed::together(cx.tx, &owned.skills, MIN_USERS, MAX_TOGETHER).await?;
    let catalog = cx
        .search
        .current(cx.tx, Some(cx.principal.catalog_revision))
        .await?;
    for (skill, users) in together {
        let is_visible = catalog
            .facets(skill)
            .is_some_and(|facets| cx.principal.can_view_skill(facets.slug));
        if is_visible {
            let evidence = evidence.entry(skill).or_default();
            evidence.users = users;
            evidence.points += (users as f32).ln_1p() / 4.0;
            evidence.signature = catalog.signature(skill).unwrap_or_default();
        }
    }
    Ok(())
}

/// The strongest `limit`, without near-copies of each other and of what is installed.
fn best(evidence: HashMap<SkillId, Evidence>, owned: &Owned, limit: usize) -> Vec<(SkillId, Evidence)> {
    let mut all: Vec<(SkillId, Evidence)> = evidence.into_iter().collect();
    all.sort_by(|(one_id, one), (other_id, other)| {
        let by_points = other.points.total_cmp(&one.points);
        by_points.then_with(|| one_id.as_uuid().cmp(other_id.as_uuid()))
    });
    let mut known = owned.signatures.clone();
    all.retain(|(_, evidence)| {
        let is_copy = known
            .iter()
            .any(|other| are_near_duplicates(*other, evidence.signature));
        known.push(evidence.signature);
        !is_copy
    });
    all.truncate(limit);
    all
}
