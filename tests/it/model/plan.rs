//! Random calls, and what the model expects of each.

use rand::RngExt as _;
use serde_json::{Value, json};
use skillkeep::ids::{Digest, InstallId};
use skillkeep::tenancy::Scope;

use super::state::{Report, Tenant};

/// The expected result of a call without a fault.
pub(super) struct Expected {
    pub(super) outcome: &'static str,
    /// What the response must contain.
    pub(super) response: ExpectedResponse,
    pub(super) effect: Effect,
}

pub(super) enum ExpectedResponse {
    /// The structured content has these values.
    Fields(Vec<(&'static str, Value)>),
    /// The message of a tool error contains this.
    Message(String),
    /// A JSON-RPC error with this code.
    Code(i64),
}

/// The change of the model after a successful call.
pub(super) enum Effect {
    Nothing,
    Install { skill: String, version: usize },
    Confirm { number: usize, matches: bool },
    Report { key: String, report: Report },
}

pub(super) struct Call {
    pub(super) method: &'static str,
    pub(super) params: Value,
    pub(super) scope: Option<Scope>,
    pub(super) expected: Expected,
}

fn tool(name: &str, arguments: &Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

fn fields(fields: Vec<(&'static str, Value)>) -> Expected {
    Expected {
        outcome: "ok",
        response: ExpectedResponse::Fields(fields),
        effect: Effect::Nothing,
    }
}

fn not_found(message: &str) -> Expected {
    Expected {
        outcome: "tool_error",
        response: ExpectedResponse::Message(message.to_owned()),
        effect: Effect::Nothing,
    }
}

impl Tenant {
    /// An existing skill, or one that only other tenants may have.
    fn random_skill(&mut self) -> String {
        let slugs: Vec<String> = self.skills.keys().cloned().collect();
        if self.one_in(6) {
            return ["plan-trip", "sum-up", "nobody-has-it"][self.random.random_range(0..3)].to_owned();
        }
        slugs[self.random.random_range(0..slugs.len())].clone()
    }

    pub(super) fn random_call(&mut self, user: usize) -> Call {
        match self.random.random_range(0..12) {
            0 => self.search(),
            1 | 2 => self.get_skill(),
            3 | 4 => self.install(),
            5 | 6 => self.confirm(user),
            7 | 8 => self.report(user),
            9 => self.usage_report(),
            10 => self.read(),
            _ => self.invalid_or_whoami_call(),
        }
    }

    fn search(&mut self) -> Call {
        let slug = self.random_skill();
        // A word of the latest version finds it; a word of an older version or of another tenant finds nothing.
        let (query, hits) = match self.skills.get(&slug) {
            Some(skill) if skill.versions.len() > 1 && self.random.random_range(0..3) == 0 => {
                (skill.versions[skill.versions.len() - 2].word.clone(), json!([]))
            }
            Some(skill) => (skill.versions.last().unwrap().word.clone(), json!([slug])),
            None => ("qqqqqqqqqqqqqq".to_owned(), json!([])),
        };
        Call {
            method: "tools/call",
            params: tool("search_skills", &json!({"query": query})),
            scope: Some(Scope::SkillsRead),
            expected: fields(vec![("hits", hits)]),
        }
    }

    fn get_skill(&mut self) -> Call {
        let slug = self.random_skill();
        let arguments = json!({"skill": slug, "file": "SKILL.md"});
        let expected = match self.skills.get(&slug) {
            Some(skill) => {
                let newest = skill.versions.last().unwrap();
                fields(vec![
                    ("description", json!(newest.description)),
                    ("version", json!(skill.versions.len().to_string())),
                    ("installs", json!(skill.confirmed)),
                    ("helped", json!(skill.helped)),
                    ("text", json!(newest.skill_md)),
                ])
            }
            None => not_found(&format!("There is no skill \"{slug}\"")),
        };
        Call {
            method: "tools/call",
            params: tool("get_skill", &arguments),
            scope: Some(Scope::SkillsRead),
            expected,
        }
    }

    fn install(&mut self) -> Call {
        let slug = self.random_skill();
        let count = self.skills.get(&slug).map_or(0, |skill| skill.versions.len());
        let version = self.random.random_range(1..=count.max(1));
        let arguments = json!({"skill": slug, "version": version.to_string(), "assistant": "codex"});
        let expected = match self.skills.get(&slug) {
            Some(skill) => Expected {
                outcome: "ok",
                response: ExpectedResponse::Fields(vec![
                    ("skill", json!(slug)),
                    ("version", json!(version.to_string())),
                    ("content", json!(skill.versions[version - 1].skill_md)),
                ]),
                effect: Effect::Install { skill: slug, version },
            },
            None => not_found(&format!("There is no skill \"{slug}\"")),
        };
        Call {
            method: "tools/call",
            params: tool("install_skill", &arguments),
            scope: Some(Scope::SkillsInstall),
            expected,
        }
    }

    fn confirm(&mut self, user: usize) -> Call {
        let matches = !self.one_in(4);
        let of_other_user = self.one_in(5);
        let candidates: Vec<usize> = (0..self.installs.len())
            .filter(|number| (self.installs[*number].user == user) != of_other_user)
            .collect();
        let (id, text, expected) = if candidates.is_empty() {
            let expected = not_found("There is no install of yours");
            (InstallId::new().to_string(), String::new(), expected)
        } else {
            let number = candidates[self.random.random_range(0..candidates.len())];
            let install = &self.installs[number];
            let version = &self.skills[&install.skill].versions[install.version - 1];
            let text = if matches {
                version.skill_md.clone()
            } else {
                "another".to_owned()
            };
            let expected = if of_other_user {
                // Only the user who installed it may confirm it.
                not_found("There is no install of yours")
            } else {
                Expected {
                    outcome: "ok",
                    response: ExpectedResponse::Fields(vec![
                        ("install_id", json!(install.id)),
                        ("state", json!(if matches { "confirmed" } else { "mismatched" })),
                    ]),
                    effect: Effect::Confirm { number, matches },
                }
            };
            (install.id.clone(), text, expected)
        };
        let files = json!([{"path": "SKILL.md", "digest": Digest::of(text.as_bytes()).to_string()}]);
        Call {
            method: "tools/call",
            params: tool("confirm_install", &json!({"install_id": id, "files": files})),
            scope: Some(Scope::SkillsInstall),
            expected,
        }
    }

    fn report(&mut self, user: usize) -> Call {
        let skill = self.random_skill();
        // Few keys, so that some are reused, also by other users.
        let key = format!("report-{}", self.random.random_range(0..400));
        let minutes = self.random.random_range(0..60_i64);
        let outcome = ["helped", "failed", "stale"][self.random.random_range(0..3)];
        let arguments =
            json!({"skill": skill, "outcome": outcome, "minutes_saved": minutes, "idempotency_key": key});
        let expected = match self.skills.get(&skill) {
            None => not_found(&format!("There is no skill \"{skill}\"")),
            Some(found) => {
                let report = Report {
                    skill: skill.clone(),
                    version: found.versions.len(),
                    outcome,
                    minutes,
                };
                match self.reports.get(&(user, key.clone())) {
                    // A repeated report keeps its version, even if a newer one was published since.
                    Some(before) if before.is_repetition_of(&report) => fields(vec![
                        ("duplicate", json!(true)),
                        ("version", json!(before.version.to_string())),
                    ]),
                    Some(_) => Expected {
                        outcome: "tool_error",
                        response: ExpectedResponse::Message(
                            "was already used for a different report".to_owned(),
                        ),
                        effect: Effect::Nothing,
                    },
                    None => Expected {
                        outcome: "ok",
                        response: ExpectedResponse::Fields(vec![
                            ("duplicate", json!(false)),
                            ("outcome", json!(outcome)),
                        ]),
                        effect: Effect::Report { key, report },
                    },
                }
            }
        };
        Call {
            method: "tools/call",
            params: tool("record_usage", &arguments),
            scope: Some(Scope::UsageWrite),
            expected,
        }
    }

    fn usage_report(&mut self) -> Call {
        let sum = |of: fn(&super::state::Skill) -> i64| -> i64 { self.skills.values().map(of).sum() };
        let calls: i64 = self.events.values().sum();
        let failed_calls = calls - self.events.get("ok").copied().unwrap_or_default();
        Call {
            method: "tools/call",
            params: tool("usage_report", &json!({})),
            scope: Some(Scope::UsageRead),
            expected: fields(vec![
                ("calls", json!(calls)),
                ("failed_calls", json!(failed_calls)),
                ("helped", json!(sum(|skill| skill.helped))),
                ("failed", json!(sum(|skill| skill.failed))),
                ("stale", json!(sum(|skill| skill.stale))),
                ("minutes_saved", json!(self.minutes)),
            ]),
        }
    }

    /// Reads a file of any version by its URI.
    fn read(&mut self) -> Call {
        let slug = self.random_skill();
        let count = self.skills.get(&slug).map_or(0, |skill| skill.versions.len());
        let version = self.random.random_range(1..=count + 1);
        let uri = format!("skill://{slug}/{version}/{slug}/SKILL.md");
        let text = self
            .skills
            .get(&slug)
            .and_then(|skill| skill.versions.get(version - 1));
        let expected = match text {
            Some(version) => fields(vec![("uri", json!(uri)), ("text", json!(version.skill_md))]),
            None => Expected {
                outcome: "tool_error",
                response: ExpectedResponse::Code(0),
                effect: Effect::Nothing,
            },
        };
        Call {
            method: "resources/read",
            params: json!({"uri": uri}),
            scope: Some(Scope::SkillsRead),
            expected,
        }
    }

    fn invalid_or_whoami_call(&mut self) -> Call {
        let of = |params: Value, outcome: &'static str, response: ExpectedResponse| Call {
            method: "tools/call",
            params,
            scope: None,
            expected: Expected {
                outcome,
                response,
                effect: Effect::Nothing,
            },
        };
        match self.random.random_range(0..4) {
            0 => of(
                tool("drop_tables", &json!({})),
                "unknown_tool",
                ExpectedResponse::Code(-32_602),
            ),
            1 => of(
                json!({"arguments": {}}),
                "malformed",
                ExpectedResponse::Code(-32_602),
            ),
            2 => of(
                tool("whoami", &json!({"tenant": "tenant-0"})),
                "invalid_arguments",
                ExpectedResponse::Message("Invalid arguments for".to_owned()),
            ),
            _ => of(
                tool("whoami", &json!({})),
                "ok",
                ExpectedResponse::Fields(vec![
                    ("tenant", json!(self.slug)),
                    ("server_version", json!(env!("CARGO_PKG_VERSION"))),
                ]),
            ),
        }
    }
}
