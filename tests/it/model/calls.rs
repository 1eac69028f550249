//! Executes random calls and compares responses and usage events with the model.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Value, json};
use skillkeep::isolation_probe::{ClientError, InMemoryClient, ProbeClient as _};
use skillkeep::server::ProtocolProfile;
use skillkeep::tenancy::Scope;

use super::plan::{Call, Effect, ExpectedResponse};
use super::skill::Caller;
use super::state::{Install, Tenant};
use super::{Fault, Fixtures};
use crate::attacks::clients::HttpClient;

impl Tenant {
    fn random_fault(&mut self) -> Option<Fault> {
        self.one_in(25).then(|| match self.random.random_range(0..12) {
            0 => Fault::Hang,
            1 => Fault::SlowStatement,
            2..=6 => Fault::Panic,
            _ => Fault::BadStatement,
        })
    }

    fn is_valid(&self, number: usize) -> bool {
        let key = &self.keys[number];
        !key.revoked && self.users[key.user].1 && self.active
    }

    /// Mostly a valid API key. If there is none, one is created.
    async fn random_key(&mut self) -> usize {
        let any = self.random.random_range(0..self.keys.len());
        if self.one_in(8) {
            return any;
        }
        let valid: Vec<usize> = (0..self.keys.len())
            .filter(|number| self.is_valid(*number))
            .collect();
        if valid.is_empty() {
            self.repair().await;
            return self.keys.len() - 1;
        }
        valid[self.random.random_range(0..valid.len())]
    }

    /// Sends one random call with a random key over a random transport, and applies its effect to the model.
    pub(super) async fn call(&mut self) {
        let number = self.random_key().await;
        let user = self.keys[number].user;
        let is_valid = self.is_valid(number);
        let has = |scope| self.keys[number].scopes.contains(&scope);
        let caller = Caller {
            user,
            is_reviewer: has(Scope::SkillsReview),
            is_admin: has(Scope::Admin),
        };
        let mut call = self.random_call(caller);
        let missing_scope = call
            .scope
            .filter(|scope| !self.keys[number].scopes.contains(scope));
        // Faults are injected into the tool itself.
        let reaches_tool = missing_scope.is_none()
            && !["unknown_tool", "malformed", "invalid_arguments"].contains(&call.expected.outcome);
        let fault = if is_valid && reaches_tool {
            self.random_fault()
        } else {
            None
        };
        if let Some(fault) = fault {
            self.fixtures.faults.lock().unwrap().insert(self.id, fault);
        }
        let trace: String = (0..32)
            .map(|_| self.random.random_range(1..10_u8).to_string())
            .collect();
        call.params["_meta"] = json!({"traceparent": format!("00-{trace}-1234567890abcdef-01")});
        let abandon = is_valid && fault.is_none() && self.one_in(40);
        let response = self.send(number, &call, is_valid, abandon).await;
        if fault.is_some() {
            self.counts.faults += 1;
        }
        let event = self.event_of(&trace, response.is_none()).await;
        self.fixtures.faults.lock().unwrap().remove(&self.id);
        if let Some(event) = &event {
            *self.events.entry(event.clone()).or_default() += 1;
        }
        if !is_valid {
            self.counts.refused += 1;
            assert_eq!(event, None, "a call with an invalid key leaves no event");
            let response = response.expect("a rejected call gets a response");
            let code = response.pointer("/error/code").and_then(Value::as_i64);
            assert!(code == Some(-31_001) || is_lost(&response), "{response}");
            return;
        }
        self.check_and_apply(number, call, missing_scope, fault, response, event);
    }

    /// Returns `None` if the caller disconnected before the response.
    async fn send(&mut self, number: usize, call: &Call, is_valid: bool, abandon: bool) -> Option<Value> {
        let replica = self.random.random_range(0..2);
        let fixtures: &Fixtures = &self.fixtures;
        if abandon {
            self.counts.abandoned += 1;
            let mut client =
                InMemoryClient::connect_legacy(&fixtures.services[replica], self.keys[number].key.clone())
                    .await
                    .unwrap();
            let timeout = Duration::from_micros(self.random.random_range(0..4_000));
            let left = tokio::time::timeout(timeout, client.request(call.method, call.params.clone())).await;
            return left.ok().map(Result::unwrap);
        }
        let response: Result<Value, ClientError> = if is_valid && self.random.random_range(0..3) == 0 {
            let mut http = HttpClient::new(
                fixtures.addresses[replica],
                &self.keys[number].key,
                ProtocolProfile::Current,
            );
            http.request(call.method, call.params.clone()).await
        } else {
            let key = &mut self.keys[number];
            if key.client.is_none() {
                key.client = Some(
                    InMemoryClient::connect_legacy(&fixtures.services[replica], key.key.clone())
                        .await
                        .unwrap(),
                );
            }
            key.client
                .as_mut()
                .unwrap()
                .request(call.method, call.params.clone())
                .await
        };
        Some(response.unwrap())
    }

    /// The recorded outcome of the call. Asserts that there is at most one usage event.
    async fn event_of(&self, trace: &str, abandoned: bool) -> Option<String> {
        // The end of an abandoned call is not observable; it may not even have begun when its caller disconnected.
        let attempts = if abandoned { 60 } else { 1 };
        for _ in 0..attempts {
            let rows = self
                .superuser
                .query(
                    "SELECT outcome FROM usage_events WHERE tenant_id = $1 AND trace_id = $2",
                    &[self.id.as_uuid(), &trace],
                )
                .await
                .unwrap();
            assert!(rows.len() <= 1, "a call left {} events", rows.len());
            if let Some(row) = rows.first() {
                return Some(row.get(0));
            }
            if abandoned {
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        None
    }

    fn check_and_apply(
        &mut self,
        number: usize,
        call: Call,
        missing_scope: Option<Scope>,
        fault: Option<Fault>,
        response: Option<Value>,
        event: Option<String>,
    ) {
        let user = self.keys[number].user;
        let what = format!("{}: {} {} {fault:?}", self.slug, call.method, call.params);
        let Some(response) = response else {
            // The caller disconnected; the usage event tells whether the call was applied.
            if event.as_deref() == Some("ok") {
                self.apply(call.expected.effect, user, None);
            }
            return;
        };
        if is_lost(&response) {
            // The database session was terminated; the usage event tells whether the call was applied.
            self.counts.lost += 1;
            if event.as_deref() == Some("ok") {
                self.apply(call.expected.effect, user, None);
            }
            return;
        }
        let event = event.unwrap_or_else(|| panic!("a response without a usage event: {what}: {response}"));
        if let Some(scope) = missing_scope {
            assert_eq!(event, "missing_scope", "{what}: {response}");
            assert!(
                response.to_string().contains(scope.as_str()),
                "{what}: {response}"
            );
        } else if let Some(fault) = fault {
            let wanted: &[&str] = match fault {
                Fault::Panic => &["panicked"],
                // The session may be terminated first, which fails the statement.
                Fault::BadStatement | Fault::SlowStatement | Fault::Hang => &["internal_error", "timed_out"],
            };
            assert!(wanted.contains(&event.as_str()), "{what}: {event} {response}");
        } else if event == "internal_error" {
            // The database session was terminated, and the call was recorded in a second transaction.
            assert!(
                response.to_string().contains("nothing was done"),
                "{what}: recorded as an internal error: {response}"
            );
            self.counts.lost += 1;
        } else {
            assert_eq!(event, call.expected.outcome, "{what}: {response}");
            check(&what, &call.expected.response, &response);
            self.counts.answered += 1;
            if let Some(tool) = call.tool {
                let answers = self.counts.tools.entry(tool.as_str()).or_default();
                answers.called += 1;
                answers.ok += u64::from(event == "ok");
            }
            let id = response
                .pointer("/result/structuredContent/install_id")
                .and_then(Value::as_str);
            self.apply(call.expected.effect, user, id.map(str::to_owned));
        }
    }

    fn apply(&mut self, effect: Effect, user: usize, install: Option<String>) {
        match effect {
            Effect::Nothing => {}
            Effect::Install { skill, version } => {
                let installed = self.skill_mut(&skill);
                installed.offered += 1;
                installed.used_by.insert(user);
                // Without a response the id is unknown.
                if let Some(id) = install {
                    self.installs.push(Install {
                        id,
                        skill,
                        version,
                        user,
                        state: "offered",
                    });
                }
                if self.installs.len() > 200 {
                    self.installs.remove(0);
                }
            }
            Effect::Confirm { number, matches } => {
                let install = &mut self.installs[number];
                let skill = self.skills.get_mut(&install.skill).unwrap();
                skill.confirmed -= i64::from(install.state == "confirmed");
                install.state = if matches { "confirmed" } else { "mismatched" };
                skill.confirmed += i64::from(matches);
            }
            Effect::Report { key, report } => {
                let skill = self.skill_mut(&report.skill);
                skill.used_by.insert(user);
                match report.outcome {
                    "helped" => skill.helped += 1,
                    "failed" => skill.failed += 1,
                    _ => skill.stale += 1,
                }
                self.minutes += report.minutes;
                self.reports.insert((user, key), report);
            }
            Effect::Change(change) => change(self),
        }
    }

    /// Lists must equal the model's. They leave no usage event.
    pub(super) async fn list(&mut self) {
        let number = self.random.random_range(0..self.keys.len());
        let key = &self.keys[number];
        let is_valid = !key.revoked && self.users[key.user].1 && self.active;
        let can_read = key.scopes.contains(&Scope::SkillsRead);
        let replica = self.random.random_range(0..2);
        let mut client = InMemoryClient::connect_legacy(&self.fixtures.services[replica], key.key.clone())
            .await
            .unwrap();
        let (method, list) = [
            ("skills/list", "skills"),
            ("prompts/list", "prompts"),
            ("resources/list", "resources"),
        ][self.random.random_range(0..3)];
        let response = client.request(method, json!({})).await.unwrap();
        self.counts.lists += 1;
        if is_lost(&response) {
            return;
        }
        if !is_valid {
            assert_eq!(
                response.pointer("/error/code"),
                Some(&json!(-31_001)),
                "{response}"
            );
            return;
        }
        let listed = response["result"][list].to_string();
        for skill in self.skills.values() {
            let slug = &skill.slug;
            let has_uri = skill
                .latest()
                .is_some_and(|latest| listed.contains(&format!("skill://{slug}/{}/", latest.label)));
            let is_listed = has_uri || listed.contains(&format!("\"{slug}\""));
            assert_eq!(
                is_listed,
                can_read && skill.is_listed(),
                "{}: {method} {slug}: {listed}",
                self.slug
            );
        }
        let count = response["result"][list].as_array().unwrap().iter();
        let count = count
            .filter(|item| !item.to_string().contains("search-first") && item["name"] != "find-a-skill")
            .count();
        if can_read && method != "prompts/list" {
            let expected = self.skills.values().filter(|skill| skill.is_listed());
            assert_eq!(count, expected.count(), "{}: {listed}", self.slug);
        }
    }
}

/// Whether the response reports a lost database connection.
fn is_lost(response: &Value) -> bool {
    let text = response.to_string();
    [
        "not available",
        "it is unknown whether the call was done",
        "could not record",
        "failed to response",
        "is busy",
    ]
    .iter()
    .any(|message| text.contains(message))
}

fn check(what: &str, expected: &ExpectedResponse, response: &Value) {
    match expected {
        ExpectedResponse::Message(message) => {
            assert_eq!(
                response.pointer("/result/isError"),
                Some(&json!(true)),
                "{what}: {response}"
            );
            let text = response
                .pointer("/result/content/0/text")
                .and_then(Value::as_str)
                .unwrap_or_default();
            assert!(text.contains(message.as_str()), "{what}: {response}");
        }
        ExpectedResponse::Refusal(code) => assert_eq!(
            response.pointer("/result/_meta/skillkeep~1error_code"),
            Some(&json!(code)),
            "{what}: {response}"
        ),
        ExpectedResponse::Code(0) => assert!(response.get("error").is_some(), "{what}: {response}"),
        ExpectedResponse::Code(code) => assert_eq!(
            response.pointer("/error/code"),
            Some(&json!(code)),
            "{what}: {response}"
        ),
        ExpectedResponse::Fields(fields) => {
            let result = &response["result"];
            let content = result.get("structuredContent").unwrap_or(result);
            for (name, value) in fields {
                let found = match *name {
                    "hits" => {
                        let hits = content["hits"].as_array().unwrap();
                        let mut hits: Vec<&str> =
                            hits.iter().map(|hit| hit["skill"].as_str().unwrap()).collect();
                        hits.sort_unstable();
                        json!(hits)
                    }
                    "text" => content
                        .pointer("/file/text")
                        .or_else(|| content.pointer("/contents/0/text"))
                        .cloned()
                        .unwrap_or_default(),
                    "uri" => content.pointer("/contents/0/uri").cloned().unwrap_or_default(),
                    "content" => content.pointer("/files/0/content").cloned().unwrap_or_default(),
                    "installed_state" => content.pointer("/skills/0/state").cloned().unwrap_or_default(),
                    name => content[name].clone(),
                };
                assert_eq!(&found, value, "{what}: {name} in {response}");
            }
        }
    }
}
