//! Calls of those who find, read, install and report on skills.

use rand::RngExt as _;
use serde_json::json;
use skillkeep::ids::{Digest, InstallId};
use skillkeep::tenancy::Scope;
use skillkeep::tools::ToolName;

use super::plan::{Call, Effect, Expected, ExpectedResponse, call, fields, refused};
use super::skill::{Caller, Skill, order};
use super::state::{Report, Tenant};

impl Tenant {
    /// A word of the latest version finds the skill; a word of another version or of another tenant finds nothing.
    pub(super) fn search(&mut self) -> Call {
        let slug = self.random_skill();
        let word = match self.find(&slug) {
            Some(key) => {
                let count = self.skills[&key].versions.len();
                let any = self.random.random_range(0..count);
                let skill = &self.skills[&key];
                let latest = skill.latest().map(|latest| latest.word.clone());
                latest
                    .filter(|_| any != 0 || count == 1)
                    .unwrap_or_else(|| skill.versions[any].word.clone())
            }
            None => "qqqqqqqqqqqqqq".to_owned(),
        };
        let has_word = |skill: &Skill| skill.latest().is_some_and(|latest| latest.word == word);
        let mut hits: Vec<&str> = self
            .skills
            .values()
            .filter(|skill| !skill.is_archived && has_word(skill))
            .map(|skill| skill.slug.as_str())
            .collect();
        hits.sort_unstable();
        let expected = fields(vec![("hits", json!(hits))]);
        call(
            ToolName::SearchSkills,
            &json!({"query": word, "limit": 50}),
            expected,
        )
    }

    pub(super) fn get_skill(&mut self, caller: Caller) -> Call {
        let slug = self.random_skill();
        let label = self.random_label(&slug);
        let with_file = self.one_in(2);
        let mut arguments = json!({"skill": slug});
        if let Some(label) = &label {
            arguments["version"] = json!(label);
        }
        if with_file {
            arguments["file"] = json!("SKILL.md");
        }
        let found = self.find(&slug).and_then(|key| {
            let skill = &self.skills[&key];
            let version = skill.chosen(label.as_deref())?;
            skill
                .shows(version, Some(caller))
                .then(|| (skill, &skill.versions[version]))
        });
        let expected = match found {
            None => refused("not_found"),
            Some((skill, version)) => {
                let mut expected = vec![("skill", json!(skill.slug)), ("version", json!(version.label))];
                if with_file {
                    expected.push(("text", json!(version.skill_md)));
                } else {
                    expected.extend([
                        ("description", json!(skill.shown)),
                        ("installs", json!(skill.confirmed)),
                        ("helped", json!(skill.helped)),
                        ("ratings", json!(skill.rated().0)),
                    ]);
                }
                fields(expected)
            }
        };
        call(ToolName::GetSkill, &arguments, expected)
    }

    pub(super) fn install(&mut self) -> Call {
        let slug = self.random_skill();
        let label = self.random_label(&slug);
        let mut arguments = json!({"skill": slug, "assistant": "codex"});
        if let Some(label) = &label {
            arguments["version"] = json!(label);
        }
        let found = self.find(&slug).and_then(|key| {
            let skill = &self.skills[&key];
            let version = skill.chosen(label.as_deref())?;
            skill.shows(version, None).then_some((key, version))
        });
        let expected = match found {
            None => refused("not_found"),
            Some((key, number)) => {
                let version = &self.skills[&key].versions[number];
                if version.state == "yanked" {
                    refused("yanked")
                } else {
                    Expected {
                        effect: Effect::Install {
                            skill: key.clone(),
                            version: number,
                        },
                        ..fields(vec![
                            ("skill", json!(self.skills[&key].slug)),
                            ("version", json!(version.label)),
                            ("content", json!(version.skill_md)),
                        ])
                    }
                }
            }
        };
        call(ToolName::InstallSkill, &arguments, expected)
    }

    pub(super) fn confirm(&mut self, user: usize) -> Call {
        let matches = !self.one_in(4);
        let of_other_user = self.one_in(5);
        let candidates: Vec<usize> = (0..self.installs.len())
            .filter(|number| (self.installs[*number].user == user) != of_other_user)
            .collect();
        let (id, text, expected) = if candidates.is_empty() {
            let expected = refused("not_found");
            (InstallId::new().to_string(), String::new(), expected)
        } else {
            let number = candidates[self.random.random_range(0..candidates.len())];
            let install = &self.installs[number];
            let version = &self.skills[&install.skill].versions[install.version];
            let text = if matches {
                version.skill_md.clone()
            } else {
                "another".to_owned()
            };
            let expected = if of_other_user {
                // Only the user who installed it may confirm it.
                refused("not_found")
            } else {
                Expected {
                    effect: Effect::Confirm { number, matches },
                    ..fields(vec![
                        ("skill", json!(self.skills[&install.skill].slug)),
                        ("state", json!(if matches { "confirmed" } else { "mismatched" })),
                    ])
                }
            };
            (install.id.clone(), text, expected)
        };
        let files = json!([{"path": "SKILL.md", "digest": Digest::of(text.as_bytes()).to_string()}]);
        let arguments = json!({"install_id": id, "files": files});
        call(ToolName::ConfirmInstall, &arguments, expected)
    }

    pub(super) fn check_installed(&mut self) -> Call {
        let slug = self.random_skill();
        let label = self.random_label(&slug);
        let mut installed = json!({"skill": slug});
        if let Some(label) = &label {
            installed["version"] = json!(label);
        }
        let found = self.find(&slug).and_then(|key| {
            let skill = &self.skills[&key];
            let number = match &label {
                Some(label) => skill.with_label(label)?,
                None => skill.with_label(&skill.latest()?.label)?,
            };
            let version = &skill.versions[number];
            version.was_published.then_some((skill, version))
        });
        let state = match found {
            None => "unknown",
            Some((_, version)) if version.is_quarantined => "quarantined",
            Some((_, version)) if version.state == "yanked" => "yanked",
            Some((skill, _)) if skill.is_archived => "archived",
            Some((skill, version)) => match skill.latest() {
                Some(latest) if order(&latest.label) > order(&version.label) => "outdated",
                Some(_) | None => "current",
            },
        };
        let arguments = json!({"installed": [installed]});
        call(
            ToolName::CheckInstalled,
            &arguments,
            fields(vec![("installed_state", json!(state))]),
        )
    }

    pub(super) fn report(&mut self, user: usize) -> Call {
        let slug = self.random_skill();
        // Few keys, so that some are reused, also by other users.
        let key = format!("report-{}", self.random.random_range(0..400));
        let minutes = self.random.random_range(0..60_i64);
        let outcome = ["helped", "failed", "stale"][self.random.random_range(0..3)];
        let arguments =
            json!({"skill": slug, "outcome": outcome, "minutes_saved": minutes, "idempotency_key": key});
        let found = self.find(&slug).and_then(|skill| {
            let version = self.skills[&skill].chosen(None)?;
            self.skills[&skill]
                .shows(version, None)
                .then_some((skill, version))
        });
        let expected = match found {
            None => refused("not_found"),
            Some((skill, version)) => {
                let report = Report {
                    version: self.skills[&skill].versions[version].label.clone(),
                    skill,
                    outcome,
                    minutes,
                };
                match self.reports.get(&(user, key.clone())) {
                    // A repeated report keeps its version, even if a newer one was published since.
                    Some(before) if before.is_repetition_of(&report) => fields(vec![
                        ("duplicate", json!(true)),
                        ("version", json!(before.version)),
                    ]),
                    Some(_) => refused("idempotency_conflict"),
                    None => Expected {
                        effect: Effect::Report { key, report },
                        ..fields(vec![("duplicate", json!(false)), ("outcome", json!(outcome))])
                    },
                }
            }
        };
        call(ToolName::RecordUsage, &arguments, expected)
    }

    pub(super) fn usage_report(&mut self) -> Call {
        let sum = |of: fn(&Skill) -> i64| -> i64 { self.skills.values().map(of).sum() };
        let calls: i64 = self.events.values().sum();
        let failed_calls = calls - self.events.get("ok").copied().unwrap_or_default();
        let expected = fields(vec![
            ("calls", json!(calls)),
            ("failed_calls", json!(failed_calls)),
            ("installs", json!(sum(|skill| skill.confirmed))),
            ("helped", json!(sum(|skill| skill.helped))),
            ("failed", json!(sum(|skill| skill.failed))),
            ("stale", json!(sum(|skill| skill.stale))),
            ("minutes_saved", json!(self.minutes)),
        ]);
        call(ToolName::UsageReport, &json!({}), expected)
    }

    /// Reads a file of any version by its URI.
    pub(super) fn read(&mut self) -> Call {
        let slug = self.random_skill();
        let found = self.find(&slug).map(|key| {
            let skill = &self.skills[&key];
            (skill, skill.versions.len())
        });
        let version = match found {
            Some((_, count)) => self.random.random_range(0..=count),
            None => 0,
        };
        let skill = self.find(&slug).map(|key| &self.skills[&key]);
        let version = skill.and_then(|skill| Some((skill, version, skill.versions.get(version)?)));
        let (uri, text) = match version {
            // A URI has the current slug.
            Some((skill, number, version)) => (
                format!(
                    "skill://{}/{}/{}/SKILL.md",
                    skill.slug, version.label, version.name
                ),
                skill.shows(number, None).then_some(&version.skill_md),
            ),
            None => (format!("skill://{slug}/77/{slug}/SKILL.md"), None),
        };
        let expected = match text {
            Some(text) => fields(vec![("uri", json!(uri)), ("text", json!(text))]),
            None => Expected {
                outcome: "tool_error",
                response: ExpectedResponse::Code(0),
                effect: Effect::Nothing,
            },
        };
        Call {
            tool: None,
            method: "resources/read",
            params: json!({"uri": uri}),
            scope: Some(Scope::SkillsRead),
            expected,
        }
    }
}
