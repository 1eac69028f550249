//! The model of one skill: its versions, and who may see and change it.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt as _;

use super::state::Tenant;

/// The caller of a request.
#[derive(Debug, Clone, Copy)]
pub(super) struct Caller {
    pub(super) user: usize,
    pub(super) is_reviewer: bool,
    pub(super) is_admin: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) label: String,
    /// In the front matter.
    pub(super) name: String,
    pub(super) skill_md: String,
    /// A word that only this version's description contains, and its forks'.
    pub(super) word: String,
    pub(super) description: String,
    pub(super) state: &'static str,
    pub(super) was_published: bool,
    /// `None` for an import.
    pub(super) author: Option<usize>,
    /// Whether the scanner finds something critical in it.
    pub(super) is_critical: bool,
    pub(super) is_quarantined: bool,
    pub(super) reviews: i64,
}

/// Major, minor and patch of a label, and the number of a pre-release. A release is higher than its pre-releases.
pub(super) fn order(label: &str) -> ([u32; 3], u32) {
    let (core, pre) = label.split_once("-beta.").unwrap_or((label, ""));
    let mut numbers = core.split('.').map(|number| number.parse().unwrap());
    let mut next = || numbers.next().unwrap_or(0);
    ([next(), next(), next()], pre.parse().unwrap_or(u32::MAX))
}

impl Version {
    pub(super) fn is_release(&self) -> bool {
        !self.label.contains('-')
    }

    pub(super) fn has_label_equal_to(&self, label: &str) -> bool {
        order(&self.label) == order(label)
    }

    pub(super) fn set_state(&mut self, state: &'static str) {
        self.state = state;
        self.was_published |= state == "published";
    }
}

#[derive(Debug, Clone, Default)]
pub(super) struct Skill {
    pub(super) slug: String,
    pub(super) former_slugs: BTreeSet<String>,
    /// `None` for an import.
    pub(super) owner: Option<usize>,
    pub(super) is_archived: bool,
    /// Set if it is deprecated: the successor, by the key in the model.
    pub(super) deprecated: Option<Option<String>>,
    /// The key of the skill that it was forked from, and the version.
    pub(super) origin: Option<(String, String)>,
    /// The description that lists show.
    pub(super) shown: String,
    /// In the order of publication.
    pub(super) versions: Vec<Version>,
    /// By user: the stars, and whether the rating counts.
    pub(super) ratings: BTreeMap<usize, (i64, bool)>,
    /// Users who installed it or reported on it.
    pub(super) used_by: BTreeSet<usize>,
    pub(super) offered: i64,
    pub(super) confirmed: i64,
    pub(super) helped: i64,
    pub(super) failed: i64,
    pub(super) stale: i64,
}

impl Skill {
    pub(super) fn latest(&self) -> Option<&Version> {
        let installable = self
            .versions
            .iter()
            .enumerate()
            .filter(|(_, version)| version.state == "published" && !version.is_quarantined);
        installable
            .max_by_key(|(ordinal, version)| (version.is_release(), order(&version.label), *ordinal))
            .map(|(_, version)| version)
    }

    pub(super) fn is_listed(&self) -> bool {
        !self.is_archived && self.latest().is_some()
    }

    pub(super) fn with_label(&self, label: &str) -> Option<usize> {
        self.versions.iter().position(|version| version.label == label)
    }

    /// The version with this label, or the latest, or the newest if there is no latest.
    pub(super) fn chosen(&self, label: Option<&str>) -> Option<usize> {
        match (label, self.latest()) {
            (Some(label), _) => self.with_label(label),
            (None, Some(latest)) => self.with_label(&latest.label),
            (None, None) => self.versions.len().checked_sub(1),
        }
    }

    /// Whether the caller may read a version. Without a caller: whether everybody may.
    pub(super) fn shows(&self, version: usize, caller: Option<Caller>) -> bool {
        let version = &self.versions[version];
        let is_public = version.state == "published" || (version.state == "yanked" && version.was_published);
        let is_readable = is_public && !version.is_quarantined && !self.is_archived;
        is_readable
            || caller.is_some_and(|caller| {
                self.shows_unpublished_to(caller) || version.author == Some(caller.user)
            })
    }

    pub(super) fn shows_unpublished_to(&self, caller: Caller) -> bool {
        self.is_owned_by(caller) || caller.is_reviewer || caller.is_admin
    }

    pub(super) fn is_owned_by(&self, caller: Caller) -> bool {
        self.owner == Some(caller.user)
    }

    pub(super) fn is_managed_by(&self, caller: Caller) -> bool {
        self.is_owned_by(caller) || caller.is_admin
    }

    /// The label of the next version without one.
    pub(super) fn next_label(&self) -> String {
        let first = |version: &Version| order(&version.label).0[0];
        let highest = self.versions.iter().map(first).max().unwrap_or(0);
        let count = u32::try_from(self.versions.len()).unwrap();
        (highest.max(count) + 1).to_string()
    }

    /// Adds a version as publishing does.
    pub(super) fn add(&mut self, version: Version) {
        let (label, description) = (version.label.clone(), version.description.clone());
        self.versions.push(version);
        if self.latest().is_none_or(|latest| latest.label == label) {
            self.shown = description;
        }
    }

    /// Shows the latest version after one changed its state.
    pub(super) fn refresh(&mut self) {
        if let Some(latest) = self.latest() {
            self.shown = latest.description.clone();
        }
    }

    /// Number and mean of the ratings that count.
    pub(super) fn rated(&self) -> (i64, Option<f64>) {
        let stars: Vec<i64> = self
            .ratings
            .values()
            .filter(|(_, counts)| *counts)
            .map(|(stars, _)| *stars)
            .collect();
        let count = i64::try_from(stars.len()).unwrap();
        #[allow(clippy::cast_precision_loss, reason = "there are at most three ratings")]
        let mean = (count > 0).then(|| stars.iter().sum::<i64>() as f64 / count as f64);
        (count, mean.map(|mean| (mean * 10.0).round() / 10.0))
    }
}

impl Tenant {
    /// The key of the skill with this slug or former slug.
    pub(super) fn find(&self, slug: &str) -> Option<String> {
        let has_slug = |skill: &Skill| skill.slug == slug || skill.former_slugs.contains(slug);
        let found = self.skills.iter().find(|(_, skill)| has_slug(skill));
        found.map(|(key, _)| key.clone())
    }

    /// The key of the skill, or the code of the refusal if the caller may not do something with it.
    pub(super) fn permitted(
        &self,
        caller: Caller,
        slug: &str,
        may: impl Fn(&Skill) -> bool,
    ) -> Result<String, &'static str> {
        let key = self.find(slug).ok_or("not_found")?;
        let skill = &self.skills[&key];
        if !skill.is_listed() && !skill.shows_unpublished_to(caller) {
            return Err("not_found");
        }
        if may(skill) { Ok(key) } else { Err("not_permitted") }
    }

    pub(super) fn may_publish(&self, caller: Caller) -> bool {
        caller.is_admin || caller.user < self.publishers
    }

    /// The state of a new or submitted version.
    pub(super) fn first_state(&self, draft: bool) -> &'static str {
        if draft {
            "draft"
        } else if self.review_required {
            "in_review"
        } else {
            "published"
        }
    }

    /// An existing skill, or one that only other tenants may have.
    pub(super) fn random_skill(&mut self) -> String {
        if self.one_in(6) {
            return ["plan-trip", "sum-up", "nobody-has-it"][self.random.random_range(0..3)].to_owned();
        }
        let number = self.random.random_range(0..self.skills.len());
        let skill = self.skills.values().nth(number).unwrap();
        let former = skill.former_slugs.first().cloned();
        let slug = skill.slug.clone();
        former.filter(|_| self.one_in(4)).unwrap_or(slug)
    }

    /// A label that a version of the skill has, or none, or one that it does not have.
    pub(super) fn random_label(&mut self, slug: &str) -> Option<String> {
        let labels: Vec<String> = match self.find(slug) {
            Some(key) => self.skills[&key]
                .versions
                .iter()
                .map(|version| version.label.clone())
                .collect(),
            None => Vec::new(),
        };
        match self.random.random_range(0..8) {
            0..4 => None,
            4..7 if !labels.is_empty() => Some(labels[self.random.random_range(0..labels.len())].clone()),
            _ => Some("77.7".to_owned()),
        }
    }

    /// A slug that skills get by publishing, forking and renaming. Imports have other slugs.
    pub(super) fn random_name(&mut self) -> String {
        format!("own-{}", self.random.random_range(0..14))
    }

    pub(super) fn random_word(&mut self) -> String {
        (0..14)
            .map(|_| char::from(self.random.random_range(b'a'..=b'z')))
            .collect()
    }
}
