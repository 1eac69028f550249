//! The answer of `search_skills`, within its budget of characters.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Serialize;

use super::labels::{excerpt, rounded};
use super::search_filter::{Filter, Match};
use crate::ids::SkillId;
use crate::registry::listing::OwnSkill;
use crate::registry::skills::SkillSummary;
use crate::registry::usage::SkillNumbers;
use crate::search::{Facets, TenantCatalog, WordsOnly};
use skill_search::{Correction, Query, are_near_duplicates};

/// The characters of an answer with up to ten hits. Descriptions are cut to what the other fields leave.
const BUDGET_CHARS: usize = 2_900;
const MIN_DESCRIPTION_CHARS: usize = 60;
const MAX_DESCRIPTION_CHARS: usize = 300;
/// The number of categories and tags that the first page of a list names.
const MAX_LABELS: usize = 12;
const DEPRECATED: &str = "deprecated";
const MAX_UNMATCHED: usize = 5;
/// Longer words are not repeated to the caller.
const MAX_WORD_CHARS: usize = 40;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct SkillHit {
    /// Slug.
    skill: String,
    // In SKILL.md, if it is not the slug.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    // Shortened; get_skill has all of it.
    description: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    category: Option<String>,
    // The latest.
    version: String,
    // If not published, and always of own skills.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<&'static str>,
    // What others get, if not `version`.
    #[serde(skip_serializing_if = "Option::is_none")]
    latest: Option<String>,
    files: i32,
    kilobytes: i64,
    /// Confirmed. Zeros are left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    installs: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    helped: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failed: Option<i64>,
    /// Mean, 1 to 5.
    #[serde(skip_serializing_if = "Option::is_none")]
    stars: Option<f64>,
    /// Words of the query in it.
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
    /// Slugs of copies.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    also_as: Vec<String>,
    #[serde(skip)]
    signature: u64,
}

#[derive(Debug, Default, Serialize, JsonSchema)]
pub(super) struct SearchSkillsOutput {
    // Best first.
    pub(super) hits: Vec<SkillHit>,
    /// Words of the query in none of these hits.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) unmatched: Vec<String>,
    // Words of the query that hits hold in another spelling, e.g. `harpsicord: harpsichord`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(super) corrected: Vec<String>,
    /// Pass it as `cursor`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) next_cursor: Option<String>,
    // With their number of skills: on the first page of a list, or without hits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) categories: Option<String>,
    // The most frequent ones, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) tags: Option<String>,
    // With `facets` only.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) authors: Option<String>,
    // Those that skills are only made for, likewise.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) assistants: Option<String>,
    pub(super) next_step: String,
}

impl SkillHit {
    pub(super) fn new(
        summary: &SkillSummary,
        numbers: SkillNumbers,
        found: &Match,
        has_category_filter: bool,
    ) -> Self {
        let metadata = &summary.metadata;
        let some = |number: i64| Some(number).filter(|number| *number > 0);
        Self {
            name: Some(metadata.name.clone()).filter(|name| *name != summary.slug),
            skill: summary.slug.clone(),
            description: metadata.description.clone(),
            category: metadata.category.clone().filter(|_| !has_category_filter),
            version: summary.version.clone(),
            state: summary.is_deprecated.then_some(DEPRECATED),
            latest: None,
            files: summary.file_count,
            kilobytes: kilobytes(summary.total_bytes),
            installs: some(numbers.installs),
            helped: some(numbers.helped),
            failed: some(numbers.failed),
            stars: numbers.stars.map(rounded),
            why: found.why.clone(),
            also_as: Vec::new(),
            signature: found.signature,
        }
    }

    /// A row of one's own skills.
    pub(super) fn of_own(skill: OwnSkill) -> Self {
        let state = own_state(&skill);
        Self {
            name: Some(skill.name).filter(|name| *name != skill.slug),
            skill: skill.slug,
            description: skill.description,
            category: None,
            latest: skill.latest_version.filter(|latest| *latest != skill.version),
            version: skill.version,
            state: Some(state),
            files: skill.file_count,
            kilobytes: kilobytes(skill.total_bytes),
            installs: None,
            helped: None,
            failed: None,
            stars: None,
            why: None,
            also_as: Vec::new(),
            signature: 0,
        }
    }

    /// Whether the skills have the same name and description, or nearly the same body.
    fn is_copy_of(&self, other: &Self) -> bool {
        let name = |hit: &Self| hit.name.clone().unwrap_or_else(|| hit.skill.clone());
        (name(self) == name(other) && self.description == other.description)
            || are_near_duplicates(self.signature, other.signature)
    }
}

fn own_state(skill: &OwnSkill) -> &'static str {
    if skill.is_archived {
        "archived"
    } else if skill.quarantined {
        "quarantined"
    } else if skill.is_deprecated {
        DEPRECATED
    } else {
        skill.state.as_str()
    }
}

fn kilobytes(bytes: i64) -> i64 {
    ((bytes + 512) / 1024).max(1)
}

/// Moves the hits that are copies of a better hit into its `also_as`.
pub(super) fn fold_copies(hits: Vec<SkillHit>) -> Vec<SkillHit> {
    let mut folded: Vec<SkillHit> = Vec::with_capacity(hits.len());
    for hit in hits {
        match folded.iter_mut().find(|better| hit.is_copy_of(better)) {
            Some(better) => better.also_as.push(hit.skill),
            None => folded.push(hit),
        }
    }
    folded
}

/// Cuts the descriptions so that an answer with up to ten hits fits its budget.
pub(super) fn shorten(output: &mut SearchSkillsOutput, query: &str) {
    let described: usize = output
        .hits
        .iter()
        .map(|hit| hit.description.chars().count())
        .sum();
    let all = serde_json::to_string(output).map_or(0, |text| text.chars().count());
    let left = BUDGET_CHARS.saturating_sub(all.saturating_sub(described));
    let share = left / output.hits.len().max(1);
    for hit in &mut output.hits {
        let max_chars = share.clamp(MIN_DESCRIPTION_CHARS, MAX_DESCRIPTION_CHARS);
        hit.description = excerpt(&hit.description, max_chars, query);
    }
}

/// The words of the query, as written between spaces, of which no hit holds any part; a few of them.
pub(super) fn unmatched(query: &str, matches: &[Match]) -> Vec<String> {
    if matches.is_empty() {
        return Vec::new();
    }
    let held: Vec<&str> = matches
        .iter()
        .flat_map(|found| found.words.iter().map(String::as_str))
        .collect();
    let held = Query::new(&held.join(" "));
    let mut unmatched: Vec<String> = Vec::new();
    for word in query.split_whitespace() {
        let word = word.trim_matches(|c: char| c.is_ascii_punctuation());
        let parts = Query::new(word);
        let is_new = !unmatched.iter().any(|other| other == word);
        let is_short = word.chars().count() <= MAX_WORD_CHARS;
        if is_new && is_short && !parts.is_empty() && !parts.shares_word_with(&held) {
            unmatched.push(word.to_owned());
        }
    }
    unmatched.truncate(MAX_UNMATCHED);
    unmatched
}

/// The words of the query that hits hold in another spelling only, as `written: found`, a few of them.
pub(super) fn corrected(matches: &[Match]) -> Vec<String> {
    let mut corrected: Vec<String> = Vec::new();
    for Correction { written, word } in matches.iter().flat_map(|found| &found.corrected) {
        let text = format!("{written}: {word}");
        let is_short = text.chars().count() <= 2 * MAX_WORD_CHARS;
        if is_short && !corrected.contains(&text) {
            corrected.push(text);
        }
    }
    corrected.truncate(MAX_UNMATCHED);
    corrected
}

/// The reason of a hit that none of the query's words found.
pub(super) const WHY_MEANING: &str = "meaning";

/// The next step, after the reason why the search did without meaning.
pub(super) fn noted(words_only: Option<WordsOnly>, next_step: &str) -> String {
    match words_only {
        Some(why) => format!("{} {next_step}", why.note()),
        None => next_step.to_owned(),
    }
}

/// Whether none of the best hits holds half of the query's words: then they have probably nothing to do with the task.
pub(super) fn is_weak(query: &Query, matches: &[Match]) -> bool {
    const BEST: usize = 3;
    let words = query.word_count();
    let most = matches.iter().take(BEST).map(|found| found.words.len()).max();
    words > 1 && most.is_some_and(|most| most * 2 <= words)
}

/// The labels of skills, most frequent first, each with its number of skills.
#[derive(Default)]
pub(super) struct Labels {
    pub(super) categories: Option<String>,
    pub(super) tags: Option<String>,
    pub(super) authors: Option<String>,
    pub(super) assistants: Option<String>,
}

/// The labels of the skills that the filter matches, or of all that the caller can view.
pub(super) fn labels(catalog: &TenantCatalog, filter: &Filter<'_>, only_matching: bool) -> Labels {
    let is_counted = |(skill, facets): &(SkillId, Facets<'_>)| {
        if only_matching {
            filter.matches(*skill, facets)
        } else {
            filter.can_view(facets)
        }
    };
    let counted = catalog.in_order(None).filter(is_counted);
    count_labels(counted.map(|(_, facets)| facets))
}

/// The labels of these skills.
pub(super) fn labels_of(catalog: &TenantCatalog, skills: &[SkillId]) -> Labels {
    count_labels(skills.iter().filter_map(|skill| catalog.facets(*skill)))
}

fn count_labels<'a>(skills: impl Iterator<Item = Facets<'a>>) -> Labels {
    let mut categories: BTreeMap<&str, usize> = BTreeMap::new();
    let mut tags: BTreeMap<&str, usize> = BTreeMap::new();
    let mut authors: BTreeMap<&str, usize> = BTreeMap::new();
    let mut assistants: BTreeMap<&str, usize> = BTreeMap::new();
    for facets in skills {
        if let Some(category) = facets.category() {
            *categories.entry(category).or_default() += 1;
        }
        if let Some(author) = facets.author() {
            *authors.entry(author).or_default() += 1;
        }
        for assistant in facets.assistants() {
            *assistants.entry(assistant).or_default() += 1;
        }
        for tag in facets.tags() {
            *tags.entry(tag).or_default() += 1;
        }
    }
    Labels {
        categories: most_frequent(categories),
        tags: most_frequent(tags),
        authors: most_frequent(authors),
        assistants: most_frequent(assistants),
    }
}

fn most_frequent(counts: BTreeMap<&str, usize>) -> Option<String> {
    let mut counts: Vec<(&str, usize)> = counts.into_iter().collect();
    // Stable: equals stay in alphabetical order.
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    let named: Vec<String> = counts
        .iter()
        .take(MAX_LABELS)
        .map(|(label, count)| format!("{label} {count}"))
        .collect();
    (!named.is_empty()).then(|| named.join(", "))
}
