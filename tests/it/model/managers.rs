//! Calls of those who withdraw, change and review skills.

use rand::RngExt as _;
use serde_json::{Value, json};
use skillkeep::tools::ToolName;

use super::plan::{Call, Expected, call, changes, fields, refused};
use super::skill::{Caller, Skill};
use super::state::{Tenant, USERS};

/// The fields of an answer of `update_skill`.
fn updated(slug: &str, state: &'static str) -> Vec<(&'static str, Value)> {
    vec![("skill", json!(slug)), ("state", json!(state))]
}

impl Tenant {
    pub(super) fn yank_skill(&mut self, caller: Caller) -> Call {
        let slug = self.random_skill();
        let label = self.random_label(&slug).unwrap_or_else(|| "1".to_owned());
        let action = self.random.random_range(0..8);
        let arguments = match action {
            0 => json!({"skill": slug, "all": true, "reason": "All of it."}),
            1..=4 => json!({"skill": slug, "version": label, "undo": true}),
            _ => json!({"skill": slug, "version": label, "reason": "One of it."}),
        };
        let may =
            |skill: &Skill| skill.is_managed_by(caller) || (caller.is_reviewer && !skill.is_owned_by(caller));
        let expected = match self.permitted(caller, &slug, may) {
            Err(code) => refused(code),
            Ok(key) => match action {
                0 => {
                    let versions = self.skills[&key].versions.iter().enumerate();
                    let live = versions.filter(|(_, version)| version.state != "yanked");
                    let live = live.map(|(number, _)| number).collect();
                    self.moved(key, live, "skill.yank", "yanked")
                }
                1..=4 => self.one_moved(key, &label, "published"),
                _ => self.one_moved(key, &label, "yanked"),
            },
        };
        call(ToolName::YankSkill, &arguments, expected)
    }

    fn one_moved(&self, key: String, label: &str, to: &'static str) -> Expected {
        let skill = &self.skills[&key];
        let Some(number) = skill.with_label(label) else {
            return refused("not_found");
        };
        let version = &skill.versions[number];
        let is_yanked = version.state == "yanked";
        match to {
            "yanked" if !is_yanked => self.moved(key, vec![number], "skill.yank", to),
            "published" if is_yanked && version.was_published => {
                self.moved(key, vec![number], "skill.unyank", to)
            }
            _ => refused("wrong_state"),
        }
    }

    fn moved(&self, key: String, numbers: Vec<usize>, entry: &'static str, to: &'static str) -> Expected {
        let skill = &self.skills[&key];
        let labels: Vec<&str> = numbers
            .iter()
            .map(|number| skill.versions[*number].label.as_str())
            .collect();
        let expected = vec![
            ("skill", json!(skill.slug)),
            ("versions", json!(labels)),
            ("state", json!(to)),
        ];
        changes(expected, move |tenant| {
            tenant.audit(entry, numbers.len());
            let skill = tenant.skill_mut(&key);
            for number in numbers {
                skill.versions[number].set_state(to);
            }
            skill.refresh();
        })
    }

    pub(super) fn update_skill(&mut self, caller: Caller) -> Call {
        let slug = self.random_skill();
        let (arguments, expected) = match self.random.random_range(0..12) {
            0 => self.archive(caller, &slug, true),
            1..=3 => self.archive(caller, &slug, false),
            4 => self.deprecate(caller, &slug),
            5 => self.undeprecate(caller, &slug),
            6 | 7 => self.rename(caller, &slug),
            8 => self.transfer(caller, &slug),
            _ => self.submit_skill(caller, &slug),
        };
        call(ToolName::UpdateSkill, &arguments, expected)
    }

    fn archive(&self, caller: Caller, slug: &str, archived: bool) -> (Value, Expected) {
        let (action, state, entry) = if archived {
            ("archive", "archived", "skill.archive")
        } else {
            ("restore", "active", "skill.restore")
        };
        let expected = match self.permitted(caller, slug, |skill| skill.is_managed_by(caller)) {
            Err(code) => refused(code),
            Ok(key) => {
                let skill = &self.skills[&key];
                let is_change = skill.is_archived != archived;
                changes(updated(&skill.slug, state), move |tenant| {
                    tenant.audit(entry, usize::from(is_change));
                    tenant.skill_mut(&key).is_archived = archived;
                })
            }
        };
        (json!({"skill": slug, "action": action}), expected)
    }

    fn deprecate(&mut self, caller: Caller, slug: &str) -> (Value, Expected) {
        let to = self.one_in(2).then(|| self.random_skill());
        let mut arguments = json!({"skill": slug, "action": "deprecate", "note": "Too old."});
        if let Some(to) = &to {
            arguments["to"] = json!(to);
        }
        let expected = match self.permitted(caller, slug, |skill| skill.is_managed_by(caller)) {
            Err(code) => refused(code),
            Ok(key) => {
                let successor = to.map(|to| {
                    self.find(&to).filter(|successor| {
                        let skill = &self.skills[successor];
                        let version = skill.chosen(None);
                        *successor != key && version.is_some_and(|version| skill.shows(version, Some(caller)))
                    })
                });
                match successor {
                    Some(None) => refused("not_found"),
                    successor => changes(updated(&self.skills[&key].slug, "deprecated"), move |tenant| {
                        tenant.audit("skill.deprecate", 1);
                        tenant.skill_mut(&key).deprecated = Some(successor.flatten());
                    }),
                }
            }
        };
        (arguments, expected)
    }

    fn undeprecate(&self, caller: Caller, slug: &str) -> (Value, Expected) {
        let expected = match self.permitted(caller, slug, |skill| skill.is_managed_by(caller)) {
            Err(code) => refused(code),
            Ok(key) => changes(updated(&self.skills[&key].slug, "active"), move |tenant| {
                tenant.audit("skill.undeprecate", 1);
                tenant.skill_mut(&key).deprecated = None;
            }),
        };
        (json!({"skill": slug, "action": "undeprecate"}), expected)
    }

    fn rename(&mut self, caller: Caller, slug: &str) -> (Value, Expected) {
        let to = if self.one_in(3) {
            // Also a former slug of the skill itself, and slugs that are taken.
            let former = self
                .find(slug)
                .and_then(|key| self.skills[&key].former_slugs.first().cloned());
            former.unwrap_or_else(|| slug.to_owned())
        } else {
            self.random_name()
        };
        let arguments = json!({"skill": slug, "action": "rename", "to": to});
        let expected = match self.permitted(caller, slug, |skill| skill.is_managed_by(caller)) {
            Err(code) => refused(code),
            Ok(key) if self.skills[&key].slug == to => fields(updated(&to, "renamed")),
            Ok(key) if self.find(&to).is_some_and(|other| other != key) => refused("slug_taken"),
            Ok(key) => changes(updated(&to, "renamed"), move |tenant| {
                tenant.audit("skill.rename", 1);
                let skill = tenant.skill_mut(&key);
                skill.former_slugs.remove(&to);
                let before = std::mem::replace(&mut skill.slug, to);
                skill.former_slugs.insert(before);
            }),
        };
        (arguments, expected)
    }

    fn transfer(&mut self, caller: Caller, slug: &str) -> (Value, Expected) {
        let user = self.random_user();
        let to = if self.one_in(5) {
            "nobody@example.com"
        } else {
            USERS[user]
        };
        let is_active = to == USERS[user] && self.users[user].1;
        let expected = match self.permitted(caller, slug, |skill| skill.is_managed_by(caller)) {
            Err(code) => refused(code),
            Ok(_) if !is_active => refused("not_found"),
            Ok(key) => changes(updated(&self.skills[&key].slug, "transferred"), move |tenant| {
                tenant.audit("skill.transfer", 1);
                tenant.skill_mut(&key).owner = Some(user);
            }),
        };
        (json!({"skill": slug, "action": "transfer", "to": to}), expected)
    }

    fn submit_skill(&mut self, caller: Caller, slug: &str) -> (Value, Expected) {
        let label = self.random_label(slug);
        let mut arguments = json!({"skill": slug, "action": "submit"});
        if let Some(label) = &label {
            arguments["version"] = json!(label);
        }
        let expected = match self.permitted(caller, slug, |skill| skill.is_managed_by(caller)) {
            Err(code) => refused(code),
            Ok(_) if !self.may_publish(caller) => refused("not_permitted"),
            Ok(key) => {
                let skill = &self.skills[&key];
                let draft = match &label {
                    Some(label) => match skill.with_label(label) {
                        Some(number) => {
                            Some(number).filter(|number| skill.versions[*number].state == "draft")
                        }
                        None => return (arguments, refused("not_found")),
                    },
                    None => skill
                        .versions
                        .iter()
                        .rposition(|version| version.state == "draft"),
                };
                match draft {
                    None => refused("wrong_state"),
                    Some(number) => {
                        let state = self.first_state(false);
                        let mut expected = updated(&skill.slug, state);
                        expected.push(("version", json!(skill.versions[number].label)));
                        changes(expected, move |tenant| tenant.submit(&key, number, state))
                    }
                }
            }
        };
        (arguments, expected)
    }
}
