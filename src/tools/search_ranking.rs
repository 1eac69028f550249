//! The order of the hits of `search_skills`, and their pages.

use std::cmp::Reverse;
use std::collections::HashMap;

use jiff::Timestamp;
use tokio::sync::OwnedRwLockReadGuard;

use super::ToolError;
use super::search_answer::WHY_MEANING;
use super::search_filter::{Filter, Match, Sort};
use super::tool::CallContext;
use crate::db::{DbError, TenantTx};
use crate::ids::SkillId;
use crate::registry::cursor::{self, InvalidCursor};
use crate::registry::skills::{self, SkillSummary};
use crate::registry::usage::{self, SkillNumbers};
use crate::search::{Facets, TenantCatalog, WordsOnly};

/// Later ranks are not returned: each page ranks all pages before it again.
const MAX_RANK: usize = 1000;
/// The number of query terms that `why` names.
const WHY_TERMS: usize = 5;
/// Hits whose order quality changes. Their numbers are read for each search: those of 60 skills would take some milliseconds.
const QUALITY_HITS: usize = 20;
/// Hits whose categories, tags and authors are counted.
pub(super) const COUNTED_HITS: usize = 100;
/// The largest change of a score by quality, as a share of the best score. Below the difference between a good match and a clearly
/// better one.
const QUALITY_SHARE: f32 = 0.04;
const SECONDS_A_YEAR: f32 = 365.0 * 24.0 * 60.0 * 60.0;

/// A page of hits.
pub(super) struct Page {
    pub(super) catalog: OwnedRwLockReadGuard<TenantCatalog>,
    pub(super) matches: Vec<Match>,
    /// The best hits of all pages, if their labels are to be counted.
    pub(super) counted: Vec<SkillId>,
    pub(super) known: Known,
    pub(super) next: Option<Position>,
    pub(super) words_only: Option<WordsOnly>,
}

/// What was read of some of the hits for the order of all.
#[derive(Default)]
pub(super) struct Known {
    pub(super) numbers: HashMap<SkillId, SkillNumbers>,
    pub(super) summaries: HashMap<SkillId, SkillSummary>,
}

impl Known {
    /// Reads what is not known yet of these skills.
    pub(super) async fn complete(&mut self, tx: &TenantTx, skills: &[SkillId]) -> Result<(), DbError> {
        let no_numbers = missing(skills, &self.numbers);
        let no_summaries = missing(skills, &self.summaries);
        // At once, since each would wait for an answer of the database.
        let numbers = async {
            match no_numbers.as_slice() {
                [] => Ok(HashMap::new()),
                skills => usage::of_skills(tx, skills).await,
            }
        };
        let summaries = async {
            match no_summaries.as_slice() {
                [] => Ok(Vec::new()),
                skills => skills::summaries(tx, skills).await,
            }
        };
        let (numbers, summaries) = futures::try_join!(numbers, summaries)?;
        self.numbers.extend(numbers);
        self.summaries
            .extend(summaries.into_iter().map(|summary| (summary.id, summary)));
        Ok(())
    }
}

/// The skills that are not in `known`.
fn missing<T>(skills: &[SkillId], known: &HashMap<SkillId, T>) -> Vec<SkillId> {
    skills
        .iter()
        .copied()
        .filter(|skill| !known.contains_key(skill))
        .collect()
}

/// Start of a page. Sent as an opaque cursor, bound to the tenant, the query and the filters.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Position {
    Start,
    Rank(usize),
    After(String),
}

impl Position {
    pub(super) fn write(&self, filter: &Filter<'_>) -> String {
        let position = match self {
            Self::Start => String::new(),
            Self::Rank(rank) => format!("r{rank}"),
            Self::After(slug) => format!("a{slug}"),
        };
        cursor::write(filter.principal, &filter.list_id(), &position)
    }

    pub(super) fn read(text: &str, filter: &Filter<'_>) -> Result<Self, InvalidCursor> {
        let text = cursor::read(filter.principal, &filter.list_id(), text)?;
        let position = match text.split_at_checked(1) {
            Some(("r", rank)) => rank.parse().ok().filter(|rank| *rank <= MAX_RANK).map(Self::Rank),
            Some(("a", slug)) => Some(Self::After(slug.to_owned())),
            Some(_) | None => None,
        };
        position.ok_or(InvalidCursor)
    }

    const fn rank(&self) -> usize {
        match self {
            Self::Rank(rank) => *rank,
            Self::Start | Self::After(_) => 0,
        }
    }
}

/// The page of `limit` skills that begins at `position`.
pub(super) async fn page(
    cx: &CallContext<'_>,
    filter: &Filter<'_>,
    position: &Position,
    limit: usize,
    is_counting: bool,
) -> Result<Page, ToolError> {
    let revision = Some(cx.principal.catalog_revision);
    if !filter.query.is_empty() {
        return ranked(cx, filter, position, limit, is_counting).await;
    }
    let catalog = cx.search.current(cx.tx, revision).await?;
    if filter.sort == Sort::Relevance {
        return Ok(by_slug(catalog, filter, position, limit));
    }
    let all = catalog.in_order(None);
    let all = all.filter(|(skill, facets)| filter.matches(*skill, facets));
    let matches: Vec<Match> = all.map(|(skill, _)| Match::listed(skill)).collect();
    let (matches, known) = sorted(cx, &catalog, filter.sort, matches).await?;
    Ok(cut(catalog, matches, known, position, limit))
}

/// The skills in the order of their slugs.
fn by_slug(
    catalog: OwnedRwLockReadGuard<TenantCatalog>,
    filter: &Filter<'_>,
    position: &Position,
    limit: usize,
) -> Page {
    let after = match position {
        Position::After(slug) => Some(slug.as_str()),
        Position::Start | Position::Rank(_) => None,
    };
    let mut remaining = catalog
        .in_order(after)
        .filter(|(skill, facets)| filter.matches(*skill, facets));
    let page: Vec<(SkillId, Facets<'_>)> = remaining.by_ref().take(limit).collect();
    let next = match (remaining.next(), page.last()) {
        (Some(_), Some((_, facets))) => Some(Position::After(facets.slug.to_owned())),
        (Some(_) | None, _) => None,
    };
    let matches = page.into_iter().map(|(skill, _)| Match::listed(skill)).collect();
    drop(remaining);
    Page {
        catalog,
        matches,
        counted: Vec::new(),
        known: Known::default(),
        next,
        words_only: None,
    }
}

/// The skills that match the query.
async fn ranked(
    cx: &CallContext<'_>,
    filter: &Filter<'_>,
    position: &Position,
    limit: usize,
    is_counting: bool,
) -> Result<Page, ToolError> {
    let until = (position.rank() + limit).min(MAX_RANK);
    let wanted = match filter.sort {
        // One more than the page, to know whether there is a next page.
        Sort::Relevance => (until + 1)
            .max(QUALITY_HITS)
            .max(if is_counting { COUNTED_HITS } else { 0 }),
        Sort::Updated | Sort::Installs | Sort::Stars => MAX_RANK,
    };
    let slug = filter.query.to_lowercase().replace([' ', '_'], "-");
    let others = |skill: SkillId, facets: &Facets<'_>| filter.matches(skill, facets) && facets.slug != slug;
    let revision = Some(cx.principal.catalog_revision);
    let found = cx
        .search
        .search(cx.tx, revision, &filter.query, wanted, others)
        .await?;
    let (catalog, words_only) = (found.catalog, found.words_only);
    let exact = exact_slug(&catalog, filter, &slug);
    let mut matches: Vec<Match> = found
        .hits
        .into_iter()
        .map(|hit| Match {
            skill: hit.id,
            score: hit.score,
            why: Some(if found.by_meaning.contains(&hit.id) {
                WHY_MEANING.to_owned()
            } else {
                hit.why(WHY_TERMS)
            }),
            words: hit.matched.into_iter().map(|matched| matched.term).collect(),
            corrected: hit.corrected,
            signature: hit.signature,
        })
        .collect();
    let known = match filter.sort {
        Sort::Relevance => by_quality(cx, &catalog, &mut matches).await?,
        Sort::Updated | Sort::Installs | Sort::Stars => {
            let known;
            (matches, known) = sorted(cx, &catalog, filter.sort, matches).await?;
            known
        }
    };
    if let Some(exact) = exact {
        matches.insert(0, exact);
    }
    let counted = matches
        .iter()
        .take(if is_counting { COUNTED_HITS } else { 0 })
        .map(|found| found.skill)
        .collect();
    let page = cut(catalog, matches, known, position, limit);
    Ok(Page {
        counted,
        words_only,
        ..page
    })
}

/// The page of a list that is ordered already.
fn cut(
    catalog: OwnedRwLockReadGuard<TenantCatalog>,
    mut matches: Vec<Match>,
    known: Known,
    position: &Position,
    limit: usize,
) -> Page {
    let until = (position.rank() + limit).min(MAX_RANK);
    let has_more = matches.len() > until && until < MAX_RANK;
    matches.truncate(until);
    Page {
        catalog,
        matches: matches.into_iter().skip(position.rank()).collect(),
        counted: Vec::new(),
        known,
        next: has_more.then_some(Position::Rank(until)),
        words_only: None,
    }
}

/// The skill whose slug is the query: it is the first hit, before hits with a higher score.
fn exact_slug(catalog: &TenantCatalog, filter: &Filter<'_>, slug: &str) -> Option<Match> {
    let skill = catalog.find(slug)?;
    let facets = catalog.facets(skill)?;
    let words = filter.query.split(|c: char| !c.is_alphanumeric());
    filter.matches(skill, &facets).then(|| Match {
        why: Some("its slug".to_owned()),
        words: words.map(str::to_owned).collect(),
        ..Match::listed(skill)
    })
}

/// Orders by something else than relevance. Equals keep their order.
async fn sorted(
    cx: &CallContext<'_>,
    catalog: &TenantCatalog,
    sort: Sort,
    mut matches: Vec<Match>,
) -> Result<(Vec<Match>, Known), DbError> {
    let skills: Vec<SkillId> = matches.iter().map(|found| found.skill).collect();
    let numbers = match sort {
        Sort::Installs | Sort::Stars => usage::of_skills(cx.tx, &skills).await?,
        Sort::Relevance | Sort::Updated => HashMap::new(),
    };
    let of = |found: &Match| numbers.get(&found.skill).copied().unwrap_or_default();
    match sort {
        Sort::Relevance => {}
        Sort::Updated => matches.sort_by_key(|found| {
            let facets = catalog.facets(found.skill);
            Reverse(facets.map_or(0, |facets| facets.updated_second()))
        }),
        Sort::Installs => matches.sort_by_key(|found| Reverse(of(found).installs)),
        Sort::Stars => matches.sort_by(|one, other| {
            let stars = |found: &Match| of(found).stars.unwrap_or_default();
            stars(other).total_cmp(&stars(one))
        }),
    }
    let known = Known {
        numbers,
        summaries: HashMap::new(),
    };
    Ok((matches, known))
}

/// Orders the best hits again: those that proved useful come before others that match nearly as well.
async fn by_quality(
    cx: &CallContext<'_>,
    catalog: &TenantCatalog,
    matches: &mut [Match],
) -> Result<Known, DbError> {
    let best = matches.len().min(QUALITY_HITS);
    let (best, _) = matches.split_at_mut(best);
    // The first hit may be an exact name, whose score is far above all others.
    let Some(reference) = best.get(1).map(|second| second.score) else {
        return Ok(Known::default());
    };
    let skills: Vec<SkillId> = best.iter().map(|found| found.skill).collect();
    // The page shows most of them.
    let mut known = Known::default();
    known.complete(cx.tx, &skills).await?;
    let now = Timestamp::now().as_second();
    for found in best.iter_mut() {
        let age = catalog
            .facets(found.skill)
            .map_or(0, |facets| now - facets.updated_second());
        let numbers = known.numbers.get(&found.skill).copied().unwrap_or_default();
        found.score += QUALITY_SHARE * reference * quality(numbers, age as f32 / SECONDS_A_YEAR);
    }
    best.sort_by(|one, other| other.score.total_cmp(&one.score));
    Ok(known)
}

/// How much a skill proved useful, from -1 to 1. 0 says that nothing is known.
fn quality(numbers: SkillNumbers, age_years: f32) -> f32 {
    // The fewer there are, the less they count: three ratings count half, and so do five reports.
    let stars = numbers.stars.map_or(0.0, |stars| (stars as f32 - 3.0) / 2.0);
    let ratings = numbers.ratings as f32;
    let rating = stars * ratings / (ratings + 3.0);
    let reports = (numbers.helped + numbers.failed) as f32;
    let outcome = (numbers.helped - numbers.failed) as f32 / (reports + 5.0);
    let installs = ((numbers.installs as f32).ln_1p() / 500.0_f32.ln_1p()).min(1.0);
    let recency = (1.0 - age_years).clamp(0.0, 1.0);
    let reviewed = f32::from(u8::from(numbers.is_reviewed));
    0.35 * rating + 0.25 * outcome + 0.2 * installs + 0.1 * reviewed + 0.1 * recency
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quality_counts_little_with_little_evidence() {
        let of = |ratings, stars, helped, failed| SkillNumbers {
            installs: 0,
            helped,
            failed,
            ratings,
            stars: Some(stars),
            is_reviewed: false,
        };
        assert_eq!(quality(SkillNumbers::default(), 2.0), 0.0);
        let (one, many) = (quality(of(1, 5.0, 0, 0), 2.0), quality(of(50, 5.0, 0, 0), 2.0));
        assert!(one > 0.0 && one < many / 2.0);
        assert!(quality(of(50, 1.0, 0, 50), 2.0) < -0.5);
        let reviewed = SkillNumbers {
            is_reviewed: true,
            ..SkillNumbers::default()
        };
        assert!(quality(reviewed, 2.0) > 0.0);
        let best = SkillNumbers {
            installs: 1_000_000,
            is_reviewed: true,
            ..of(i64::from(u32::MAX), 5.0, i64::from(u32::MAX), 0)
        };
        assert!(quality(best, 0.0) <= 1.0);
    }
}
