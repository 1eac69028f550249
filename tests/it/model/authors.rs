//! Calls of those who publish, fork and rate skills.

use rand::RngExt as _;
use serde_json::{Value, json};
use skillkeep::tools::ToolName;

use super::plan::{Call, Expected, call, changes, fields, refused};
use super::skill::{Caller, Skill, Version};
use super::state::{Tenant, USERS};

/// What a call publishes.
struct Publication {
    slug: String,
    label: Option<String>,
    draft: bool,
    /// Without label and state.
    version: Version,
}

impl Tenant {
    pub(super) fn publish_skill(&mut self, caller: Caller) -> Call {
        let publication = self.random_publication(caller);
        let mut arguments = json!({
            "skill": publication.slug,
            "files": [{"path": "SKILL.md", "text": publication.version.skill_md}],
            "draft": publication.draft,
        });
        if let Some(label) = &publication.label {
            arguments["version"] = json!(label);
        }
        let expected = self.published(caller, publication);
        call(ToolName::PublishSkill, &arguments, expected)
    }

    fn random_publication(&mut self, caller: Caller) -> Publication {
        let slug = if self.one_in(2) {
            self.random_name()
        } else {
            self.random_skill()
        };
        // Imports have slugs of their own, which no publication may take first.
        let slug = if self.find(&slug).is_some() {
            slug
        } else {
            self.random_name()
        };
        let existing = self.find(&slug).map(|key| self.skills[&key].clone());
        let name = existing.as_ref().map_or(&slug, |skill| &skill.slug).clone();
        let repeats = self.one_in(4);
        let version = match &existing {
            Some(skill) if repeats || skill.versions.len() >= 40 => {
                let number = self.random.random_range(0..skill.versions.len());
                skill.versions[number].clone()
            }
            Some(_) | None => self.random_version(&name, Some(caller.user)),
        };
        let label = match self.random.random_range(0..6) {
            0 | 1 => Some(format!(
                "{}.{}",
                self.random.random_range(0..6),
                self.random.random_range(0..12)
            )),
            2 => Some(format!(
                "{}.0.0-beta.{}",
                self.random.random_range(1..9),
                self.random.random_range(1..12)
            )),
            _ => None,
        };
        Publication {
            slug,
            label,
            draft: self.one_in(3),
            version,
        }
    }

    /// New text with a word that no other version contains.
    pub(super) fn random_version(&mut self, name: &str, author: Option<usize>) -> Version {
        let word = self.random_word();
        let description = format!("Does {word} for those who need it.");
        let is_critical = author.is_some() && self.one_in(6);
        let text = if is_critical {
            critical_text()
        } else {
            format!("# {name}\n\nDo it.")
        };
        Version {
            label: String::new(),
            name: name.to_owned(),
            // The text that `TestDb::skill` stores.
            skill_md: format!("---\nname: {name}\ndescription: {description}\n---\n\n{text}\n"),
            word,
            description,
            state: "draft",
            was_published: false,
            author,
            is_critical,
            is_quarantined: false,
            reviews: 0,
        }
    }

    fn published(&self, caller: Caller, publication: Publication) -> Expected {
        if !self.may_publish(caller) {
            return refused("not_published");
        }
        let Publication {
            slug,
            label,
            draft,
            version,
        } = publication;
        let existing = self.find(&slug);
        if let Some(key) = &existing {
            let skill = &self.skills[key];
            if !skill.is_managed_by(caller) || skill.is_archived {
                return refused("not_published");
            }
            let stored = skill
                .versions
                .iter()
                .rposition(|stored| stored.skill_md == version.skill_md);
            if let Some(stored) = stored {
                return self.published_again(key, stored, draft);
            }
            if let Some(label) = &label
                && skill.versions.iter().any(|other| other.has_label_equal_to(label))
            {
                return refused("not_published");
            }
        }
        let outcome = if existing.is_some() { "updated" } else { "created" };
        let next = existing
            .as_ref()
            .map_or_else(|| "1".to_owned(), |key| self.skills[key].next_label());
        let version = self.stored(version, label.unwrap_or(next), self.first_state(draft), caller);
        let current = existing.as_ref().map(|key| self.skills[key].slug.clone());
        let expected = vec![
            ("skill", json!(current.as_ref().unwrap_or(&slug))),
            ("version", json!(version.label)),
            ("state", json!(version.state)),
            ("outcome", json!(outcome)),
            ("quarantined", json!(version.is_quarantined)),
        ];
        changes(expected, move |tenant| {
            tenant.audit("skill.publish", 1);
            let key = existing.unwrap_or_else(|| slug.clone());
            let skill = tenant.skills.entry(key).or_insert_with(|| Skill {
                slug,
                owner: Some(caller.user),
                ..Skill::default()
            });
            skill.add(version);
        })
    }

    /// The version as publishing stores it.
    fn stored(&self, version: Version, label: String, state: &'static str, caller: Caller) -> Version {
        let is_quarantined = version.is_critical && !self.overridden.contains(&version.skill_md);
        let mut stored = Version {
            label,
            author: Some(caller.user),
            is_quarantined,
            was_published: false,
            reviews: 0,
            ..version
        };
        stored.set_state(state);
        stored
    }

    /// Files that a version has already: only a draft changes, if the call does not ask for a draft.
    fn published_again(&self, key: &str, number: usize, draft: bool) -> Expected {
        let skill = &self.skills[key];
        let stored = &skill.versions[number];
        let submits = stored.state == "draft" && !draft;
        let state = if submits {
            self.first_state(false)
        } else {
            stored.state
        };
        let expected = vec![
            ("skill", json!(skill.slug)),
            ("version", json!(stored.label)),
            ("state", json!(state)),
            ("outcome", json!(if submits { "submitted" } else { "unchanged" })),
            ("quarantined", json!(stored.is_quarantined)),
        ];
        if !submits {
            return fields(expected);
        }
        let key = key.to_owned();
        changes(expected, move |tenant| tenant.submit(&key, number, state))
    }

    pub(super) fn fork_skill(&mut self, caller: Caller) -> Call {
        let slug = self.random_skill();
        let label = self.random_label(&slug);
        let new_name = if self.one_in(8) {
            let any = self.random.random_range(0..self.skills.len());
            self.skills.values().nth(any).unwrap().slug.clone()
        } else {
            self.random_name()
        };
        let draft = self.one_in(4);
        let mut arguments = json!({"skill": slug, "new_name": new_name, "draft": draft});
        if let Some(label) = &label {
            arguments["version"] = json!(label);
        }
        let expected = self.forked(caller, &slug, label.as_deref(), new_name, draft);
        call(ToolName::ForkSkill, &arguments, expected)
    }

    fn forked(
        &self,
        caller: Caller,
        slug: &str,
        label: Option<&str>,
        new_name: String,
        draft: bool,
    ) -> Expected {
        let Some(key) = self.find(slug) else {
            return refused("not_found");
        };
        let origin = &self.skills[&key];
        let Some(number) = origin
            .chosen(label)
            .filter(|number| origin.shows(*number, Some(caller)))
        else {
            return refused("not_found");
        };
        if origin.versions[number].state == "yanked" {
            return refused("yanked");
        }
        if !self.may_publish(caller) || self.find(&new_name).is_some() {
            return refused("not_published");
        }
        let copied = &origin.versions[number];
        let copy = Version {
            skill_md: copied.skill_md.replacen(
                &format!("name: {}\n", copied.name),
                &format!("name: {new_name}\n"),
                1,
            ),
            name: new_name.clone(),
            ..copied.clone()
        };
        let version = self.stored(copy, "1".to_owned(), self.first_state(draft), caller);
        let expected = vec![
            ("skill", json!(new_name)),
            ("version", json!("1")),
            ("state", json!(version.state)),
            ("origin", json!(origin.slug)),
            ("origin_version", json!(copied.label)),
        ];
        let origin = Some((key, copied.label.clone()));
        changes(expected, move |tenant| {
            tenant.audit("skill.fork", 1);
            let mut fork = Skill {
                slug: new_name.clone(),
                owner: Some(caller.user),
                origin,
                ..Skill::default()
            };
            fork.add(version);
            tenant.skills.insert(new_name, fork);
        })
    }

    pub(super) fn rate_skill(&mut self, caller: Caller) -> Call {
        let slug = self.random_skill();
        let stars = (!self.one_in(4)).then(|| self.random.random_range(1..=5_i64));
        let arguments = match stars {
            Some(stars) => json!({"skill": slug, "stars": stars, "comment": "As the model says."}),
            None => json!({"skill": slug, "withdraw": true}),
        };
        let may = self.permitted(caller, &slug, |skill| !skill.is_owned_by(caller));
        let expected = match may {
            Err("not_permitted") => refused("own_skill"),
            Err(code) => refused(code),
            Ok(key) => self.rated(caller, key, stars),
        };
        call(ToolName::RateSkill, &arguments, expected)
    }

    fn rated(&self, caller: Caller, key: String, stars: Option<i64>) -> Expected {
        let mut after = self.skills[&key].clone();
        let before = after.ratings.get(&caller.user).copied();
        let change = match (stars, before) {
            (Some(_), None) => "created",
            (Some(_), Some(_)) => "changed",
            (None, Some((_, true))) => "withdrawn",
            (None, Some((_, false)) | None) => "nothing",
        };
        match (stars, before) {
            (Some(stars), _) => {
                after.ratings.insert(caller.user, (stars, true));
            }
            (None, Some((stars, _))) => {
                after.ratings.insert(caller.user, (stars, false));
            }
            (None, None) => {}
        }
        let (count, mean) = after.rated();
        let expected = vec![
            ("skill", json!(after.slug)),
            ("change", json!(change)),
            ("ratings", json!(count)),
            ("stars", mean.map_or(Value::Null, Value::from)),
            ("used", json!(after.used_by.contains(&caller.user))),
        ];
        let ratings = after.ratings;
        changes(expected, move |tenant| {
            tenant.skill_mut(&key).ratings = ratings;
        })
    }

    /// Moves a draft on.
    pub(super) fn submit(&mut self, key: &str, version: usize, state: &'static str) {
        self.audit("skill.submit", 1);
        let skill = self.skill_mut(key);
        skill.versions[version].set_state(state);
        if state == "published" {
            skill.refresh();
        }
    }

    pub(super) fn random_user(&mut self) -> usize {
        self.random.random_range(0..USERS.len())
    }
}

/// The positive example of a critical rule of the scanner.
fn critical_text() -> String {
    let mut rules = skill_scanner::rules().iter();
    let rule = rules
        .find(|rule| rule.severity == skill_scanner::Severity::Critical && rule.positive.path == "SKILL.md")
        .unwrap();
    rule.positive.text.trim_end().to_owned()
}
