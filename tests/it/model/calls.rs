//! What callers do, what the model says that they must be told, and what became of it.

use std::time::Duration;

use rand::RngExt as _;
use serde_json::{Value, json};
use skillkeep::isolation_probe::{ClientError, InMemoryClient, ProbeClient as _};
use skillkeep::tenancy::Scope;

use super::plan::{Answer, Call, Effect};
use super::state::{Install, Tenant};
use super::{Fault, Fixtures};
use crate::attacks::clients::{Http, NEW};

impl Tenant {
    fn some_fault(&mut self) -> Option<Fault> {
        self.one_in(25).then(|| match self.random.random_range(0..12) {
            0 => Fault::Hang,
            1 => Fault::SlowStatement,
            2..=6 => Fault::Panic,
            _ => Fault::BadStatement,
        })
    }

    fn holds(&self, number: usize) -> bool {
        let key = &self.keys[number];
        !key.revoked && self.users[key.user].1 && self.active
    }

    /// Mostly one that holds; where there is none, one is made so.
    async fn some_key(&mut self) -> usize {
        let any = self.random.random_range(0..self.keys.len());
        if self.one_in(8) {
            return any;
        }
        let good: Vec<usize> = (0..self.keys.len())
            .filter(|number| self.holds(*number))
            .collect();
        if good.is_empty() {
            self.repair().await;
            return self.keys.len() - 1;
        }
        good[self.random.random_range(0..good.len())]
    }

    /// One call with some key, by some way, with its consequences.
    pub(super) async fn call(&mut self) {
        let number = self.some_key().await;
        let user = self.keys[number].user;
        let holds = self.holds(number);
        let mut call = self.some_call(user);
        let lacks = call
            .scope
            .filter(|scope| !self.keys[number].scopes.contains(scope));
        // Whether the tool itself is reached, where a fault waits.
        let reached = lacks.is_none()
            && !["unknown_tool", "malformed", "invalid_arguments"].contains(&call.expected.outcome);
        let fault = if holds && reached { self.some_fault() } else { None };
        if let Some(fault) = fault {
            self.world.faults.lock().unwrap().insert(self.id, fault);
        }
        let trace: String = (0..32)
            .map(|_| self.random.random_range(1..10_u8).to_string())
            .collect();
        call.params["_meta"] = json!({"traceparent": format!("00-{trace}-1234567890abcdef-01")});
        let abandon = holds && fault.is_none() && self.one_in(40);
        let answer = self.ask(number, &call, holds, abandon).await;
        if fault.is_some() {
            self.counts.faults += 1;
        }
        let event = self.event_of(&trace, answer.is_none()).await;
        self.world.faults.lock().unwrap().remove(&self.id);
        if let Some(event) = &event {
            *self.events.entry(event.clone()).or_default() += 1;
        }
        if !holds {
            self.counts.refused += 1;
            assert_eq!(event, None, "a key that does not hold leaves no event");
            let answer = answer.expect("whoever is refused is told");
            let code = answer.pointer("/error/code").and_then(Value::as_i64);
            assert!(code == Some(-31_001) || is_lost(&answer), "{answer}");
            return;
        }
        self.judge(number, call, lacks, fault, answer, event);
    }

    /// `None` where the caller left before the answer.
    async fn ask(&mut self, number: usize, call: &Call, holds: bool, abandon: bool) -> Option<Value> {
        let replica = self.random.random_range(0..2);
        let world: &Fixtures = &self.world;
        if abandon {
            self.counts.abandoned += 1;
            let mut pipe = InMemoryClient::connect(&world.services[replica], self.keys[number].key.clone())
                .await
                .unwrap();
            let patience = Duration::from_micros(self.random.random_range(0..4_000));
            let left = tokio::time::timeout(patience, pipe.ask(call.method, call.params.clone())).await;
            return left.ok().map(Result::unwrap);
        }
        let answer: Result<Value, ClientError> = if holds && self.random.random_range(0..3) == 0 {
            let mut http = Http::new(world.addresses[replica], &self.keys[number].key, NEW);
            http.ask(call.method, call.params.clone()).await
        } else {
            let key = &mut self.keys[number];
            if key.pipe.is_none() {
                key.pipe = Some(
                    InMemoryClient::connect(&world.services[replica], key.key.clone())
                        .await
                        .unwrap(),
                );
            }
            key.pipe
                .as_mut()
                .unwrap()
                .ask(call.method, call.params.clone())
                .await
        };
        Some(answer.unwrap())
    }

    /// The outcome that was recorded of the call; at most one.
    async fn event_of(&self, trace: &str, abandoned: bool) -> Option<String> {
        // Nobody tells an abandoned call's end; it may not even have begun when its caller left.
        let looks = if abandoned { 60 } else { 1 };
        for _ in 0..looks {
            let rows = self
                .outside
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

    fn judge(
        &mut self,
        number: usize,
        call: Call,
        lacks: Option<Scope>,
        fault: Option<Fault>,
        answer: Option<Value>,
        event: Option<String>,
    ) {
        let user = self.keys[number].user;
        let what = format!("{}: {} {} {fault:?}", self.slug, call.method, call.params);
        let Some(answer) = answer else {
            // He left. Whatever was recorded is what was done.
            if event.as_deref() == Some("ok") {
                self.apply(call.expected.effect, user, None);
            }
            return;
        };
        if is_lost(&answer) {
            // The database was cut off; the record alone tells whether it was done.
            self.counts.lost += 1;
            if event.as_deref() == Some("ok") {
                self.apply(call.expected.effect, user, None);
            }
            return;
        }
        let event = event.unwrap_or_else(|| panic!("an answer without a record: {what}: {answer}"));
        if let Some(scope) = lacks {
            assert_eq!(event, "missing_scope", "{what}: {answer}");
            assert!(answer.to_string().contains(scope.as_str()), "{what}: {answer}");
        } else if let Some(fault) = fault {
            let wanted: &[&str] = match fault {
                Fault::Panic => &["panicked"],
                // Killed on the way, a slow statement is a bad one.
                Fault::BadStatement | Fault::SlowStatement | Fault::Hang => &["internal_error", "timed_out"],
            };
            assert!(wanted.contains(&event.as_str()), "{what}: {event} {answer}");
        } else if event == "internal_error" {
            // A backend was killed under a statement that the tool had sent, and another recorded it? Never: it is gone.
            panic!("{what}: recorded as an internal error: {answer}");
        } else {
            assert_eq!(event, call.expected.outcome, "{what}: {answer}");
            check(&what, &call.expected.answer, &answer);
            self.counts.answered += 1;
            let id = answer
                .pointer("/result/structuredContent/install_id")
                .and_then(Value::as_str);
            self.apply(call.expected.effect, user, id.map(str::to_owned));
        }
    }

    fn apply(&mut self, effect: Effect, user: usize, install: Option<String>) {
        match effect {
            Effect::Nothing => {}
            Effect::Offer { skill, version } => {
                self.skills.get_mut(&skill).unwrap().offered += 1;
                // Without an answer nobody knows its id.
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
                let skill = self.skills.get_mut(&report.skill).unwrap();
                match report.outcome {
                    "helped" => skill.helped += 1,
                    "failed" => skill.failed += 1,
                    _ => skill.stale += 1,
                }
                self.minutes += report.minutes;
                self.reports.insert((user, key), report);
            }
        }
    }

    /// A list, which leaves no record: the same as the model's, in order.
    pub(super) async fn list(&mut self) {
        let number = self.random.random_range(0..self.keys.len());
        let key = &self.keys[number];
        let holds = !key.revoked && self.users[key.user].1 && self.active;
        let reads = key.scopes.contains(&Scope::SkillsRead);
        let replica = self.random.random_range(0..2);
        let mut pipe = InMemoryClient::connect(&self.world.services[replica], key.key.clone())
            .await
            .unwrap();
        let (method, list) = [
            ("skills/list", "skills"),
            ("prompts/list", "prompts"),
            ("resources/list", "resources"),
        ][self.random.random_range(0..3)];
        let answer = pipe.ask(method, json!({})).await.unwrap();
        self.counts.lists += 1;
        if is_lost(&answer) {
            return;
        }
        if !holds {
            assert_eq!(answer.pointer("/error/code"), Some(&json!(-31_001)), "{answer}");
            return;
        }
        let listed = answer["result"][list].to_string();
        for (slug, skill) in &self.skills {
            let shown = listed.contains(&format!("\"{slug}\""))
                || listed.contains(&format!("skill://{slug}/{}/", skill.versions.len()));
            assert_eq!(shown, reads, "{}: {method} {slug}: {listed}", self.slug);
        }
        let count = answer["result"][list].as_array().unwrap().iter();
        let count = count
            .filter(|item| !item.to_string().contains("search-first") && item["name"] != "find-a-skill")
            .count();
        if reads && method != "prompts/list" {
            assert_eq!(count, self.skills.len(), "{}: {listed}", self.slug);
        }
    }
}

/// Whether the answer is that of a server whose database was cut off in the middle.
fn is_lost(answer: &Value) -> bool {
    let text = answer.to_string();
    [
        "not available",
        "cannot tell whether it was done",
        "could not record",
        "failed to answer",
        "is busy",
    ]
    .iter()
    .any(|words| text.contains(words))
}

fn check(what: &str, expected: &Answer, answer: &Value) {
    match expected {
        Answer::Words(words) => {
            assert_eq!(
                answer.pointer("/result/isError"),
                Some(&json!(true)),
                "{what}: {answer}"
            );
            let told = answer
                .pointer("/result/content/0/text")
                .and_then(Value::as_str)
                .unwrap_or_default();
            assert!(told.contains(words.as_str()), "{what}: {answer}");
        }
        Answer::Code(0) => assert!(answer.get("error").is_some(), "{what}: {answer}"),
        Answer::Code(code) => assert_eq!(
            answer.pointer("/error/code"),
            Some(&json!(code)),
            "{what}: {answer}"
        ),
        Answer::Fields(fields) => {
            let result = &answer["result"];
            let content = result.get("structuredContent").unwrap_or(result);
            for (name, value) in fields {
                let found = match *name {
                    "hits" => {
                        let hits = content["hits"].as_array().unwrap();
                        Value::from(hits.iter().map(|hit| hit["skill"].clone()).collect::<Vec<_>>())
                    }
                    "text" => content
                        .pointer("/file/text")
                        .or_else(|| content.pointer("/contents/0/text"))
                        .cloned()
                        .unwrap_or_default(),
                    "uri" => content.pointer("/contents/0/uri").cloned().unwrap_or_default(),
                    "content" => content.pointer("/files/0/content").cloned().unwrap_or_default(),
                    name => content[name].clone(),
                };
                assert_eq!(&found, value, "{what}: {name} in {answer}");
            }
        }
    }
}
