//! Whether an answer to the attacker tells more than the answer to his control.

use std::collections::BTreeSet;

use jiff::Timestamp;
use serde_json::Value;
use uuid::Uuid;

use super::attack::Attack;
use super::fixtures::{Fixtures, Identifier, TestTenant, VICTIMS_MINUTES};
use crate::tools::ToolName;

/// What an attacker has said of the other's: it may come back to him in the reports of his own doings.
#[derive(Debug, Default)]
pub struct EchoedSecrets(BTreeSet<String>);

impl EchoedSecrets {
    /// Keeps what of the other's secrets is sent with this attack.
    pub(super) fn note(&mut self, world: &Fixtures, attack: &Attack) {
        let sent = attack.foreign.to_string();
        let secrets = world.secrets.iter();
        self.0
            .extend(secrets.filter(|secret| sent.contains(secret.as_str())).cloned());
    }

    pub(super) fn holds(&self, secret: &str) -> bool {
        self.0.contains(secret)
    }
}

/// Whether this holds anything of the victim's that is not among the texts that may come back: a text, or a number that is only
/// there where the victim's reports are counted.
pub(super) fn leaks(world: &Fixtures, told: &Value, may_come_back: impl Fn(&str) -> bool) -> bool {
    let text = told.to_string();
    let has_text = world
        .secrets
        .iter()
        .any(|secret| text.contains(secret.as_str()) && !may_come_back(secret));
    has_text || counts_the_victims(told)
}

/// Whether a number is so large that the victim's reports must be in it. All else that is counted stays far below.
fn counts_the_victims(told: &Value) -> bool {
    match told {
        Value::Number(number) => number
            .as_u64()
            .is_some_and(|number| number >= VICTIMS_MINUTES.unsigned_abs().into()),
        Value::Array(items) => items.iter().any(counts_the_victims),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| !MAY_BE_LARGE.contains(&name.as_str()) && counts_the_victims(value)),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

/// Numbers that count nothing: how long a list may be kept, a request's id, and the bounds in a tool's schema.
const MAY_BE_LARGE: [&str; 3] = ["ttlMs", "id", "maximum"];

/// What is wrong with the attacker's answer; empty where all is well.
#[must_use]
pub fn check_response(
    world: &Fixtures,
    attack: &Attack,
    said: &EchoedSecrets,
    theirs: &Value,
    nothing: &Value,
) -> Vec<String> {
    let mut findings = Vec::new();
    let answer = theirs.to_string();
    let echo = attack.foreign.to_string();
    let comes_back = |secret: &str| echo.contains(secret) || (reports_doings(attack) && said.holds(secret));
    if leaks(world, theirs, comes_back) {
        findings.push("the answer holds something of the other tenant's".to_owned());
    }
    if answer.contains("failed to answer") || theirs.pointer("/error/code") == Some(&Value::from(-32_603)) {
        findings.push(format!("it makes the server fail: {}", cut(theirs)));
    }
    let seen = Plain::of(world, &world.attacker, |handle| &handle.foreign).value(theirs);
    let expected = Plain::of(world, &world.control, |handle| &handle.absent).value(nothing);
    if seen != expected {
        let (seen, expected) = (cut(&seen), cut(&expected));
        findings.push(format!(
            "the answer differs from that for what does not exist: {seen} instead of {expected}"
        ));
    }
    findings
}

/// Whether the control, now that there is a victim, is told anything else than the attacker was before.
pub(super) fn differs_from_baseline(world: &Fixtures, before: &Value, after: &Value) -> Option<String> {
    let before = Plain::of(world, &world.attacker, |handle| &handle.foreign).value(before);
    let after = Plain::of(world, &world.control, |handle| &handle.absent).value(after);
    (before != after).then(|| {
        let (before, after) = (cut(&before), cut(&after));
        format!("the answer about one's own changed when another tenant came: {after} instead of {before}")
    })
}

/// Enough of an answer to recognise it.
fn cut(answer: &Value) -> String {
    answer.to_string().chars().take(400).collect()
}

/// Whether the answer tells what its caller did before, the words that he used among it.
fn reports_doings(attack: &Attack) -> bool {
    attack.target == ToolName::UsageReport.as_str()
}

/// Answers without what differs between two callers who see the same: the words that they asked with, their names, ids,
/// times, and the order in which these make things appear.
struct Plain<'a> {
    words: Vec<(String, &'a str)>,
}

impl<'a> Plain<'a> {
    fn of(world: &'a Fixtures, party: &'a TestTenant, word: impl Fn(&'a Identifier) -> &'a str) -> Self {
        let cursors = world.cursors.iter().map(|(_, handle)| handle);
        let mut words: Vec<(String, &str)> = world
            .handles
            .iter()
            .chain(cursors)
            .map(|handle| (word(handle).to_owned(), handle.what))
            .collect();
        words.push((party.slug.clone(), "PARTY"));
        // A word may stand in a longer one.
        words.sort_by_key(|(word, _)| std::cmp::Reverse(word.len()));
        Self { words }
    }

    fn value(&self, answer: &Value) -> Value {
        match answer {
            Value::Object(fields) => Value::Object(
                fields
                    .iter()
                    .filter(|(name, _)| *name != "id" && *name != "jsonrpc")
                    .map(|(name, value)| {
                        let value = match (name.as_str(), value) {
                            ("next_cursor" | "nextCursor", Value::String(_)) => Value::from("CURSOR"),
                            (name, Value::Number(_)) if name.ends_with("_ms") => Value::from("MS"),
                            _ => self.value(value),
                        };
                        (self.text(name), value)
                    })
                    .collect(),
            ),
            Value::Array(items) => {
                let mut items: Vec<Value> = items.iter().map(|item| self.value(item)).collect();
                items.sort_by_key(Value::to_string);
                Value::Array(items)
            }
            Value::String(text) if text.starts_with('{') => {
                // A structured answer stands in the text as well.
                match serde_json::from_str::<Value>(text) {
                    Ok(inside) => self.value(&inside),
                    Err(_) => Value::from(self.text(text)),
                }
            }
            Value::String(text) if text.parse::<Timestamp>().is_ok() => Value::from("TIME"),
            Value::String(text) => Value::from(self.text(text)),
            Value::Null | Value::Bool(_) | Value::Number(_) => answer.clone(),
        }
    }

    fn text(&self, text: &str) -> String {
        let mut plain = text.to_owned();
        for (word, what) in &self.words {
            plain = plain.replace(word, what);
        }
        without_ids(&plain)
    }
}

/// The text with `ID` for each UUID in it.
fn without_ids(text: &str) -> String {
    const LEN: usize = 36;
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        match rest.get(..LEN) {
            Some(start) if Uuid::try_parse(start).is_ok() => {
                plain.push_str("ID");
                rest = rest.get(LEN..).unwrap_or_default();
            }
            Some(_) | None => {
                plain.push(first);
                rest = rest.get(first.len_utf8()..).unwrap_or_default();
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ids::TenantId;
    use crate::tenancy::ApiKey;

    fn world() -> Fixtures {
        let party = |slug: &str| {
            let tenant = TenantId::new();
            TestTenant {
                tenant,
                slug: slug.to_owned(),
                key: ApiKey::generate(tenant, &mut rand::rng()),
                install: TenantId::new().to_string(),
                digest: String::new(),
            }
        };
        Fixtures {
            attacker: party("proof-a"),
            control: party("proof-b"),
            victim: party("proof-c"),
            handles: vec![Identifier {
                what: "a slug",
                foreign: "theirs".to_owned(),
                absent: "nobody".to_owned(),
            }],
            cursors: Vec::new(),
            secrets: vec!["xylophone".to_owned()],
            own: Vec::new(),
        }
    }

    fn attack() -> Attack {
        Attack {
            target: "get_skill".to_owned(),
            what: "a slug".to_owned(),
            method: "tools/call",
            foreign: json!({"skill": "theirs"}),
            absent: json!({"skill": "nobody"}),
        }
    }

    #[test]
    fn the_same_words_about_different_names_are_the_same() {
        let world = world();
        let theirs = json!({"id": 1, "error": {"message": "There is no \"theirs\" in proof-a."}});
        let nothing = json!({"id": 9, "error": {"message": "There is no \"nobody\" in proof-b."}});
        assert_eq!(
            check_response(&world, &attack(), &EchoedSecrets::default(), &theirs, &nothing),
            Vec::<String>::new()
        );
    }

    #[test]
    fn ids_and_times_made_for_the_answer_differ_as_they_may() {
        let world = world();
        let made = || json!({"result": {"text": format!("Call it with {} then.", TenantId::new()), "at": Timestamp::now().to_string()}});
        assert_eq!(
            check_response(&world, &attack(), &EchoedSecrets::default(), &made(), &made()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_different_answer_a_leak_and_a_failure_are_found() {
        let world = world();
        let nothing = json!({"error": {"message": "There is no \"nobody\"."}});
        for (theirs, wanted) in [
            (
                json!({"error": {"message": "You may not see \"theirs\"."}}),
                "differs",
            ),
            (
                json!({"result": {"text": "A xylophone."}}),
                "something of the other",
            ),
            (
                json!({"result": {"minutes_saved": 77_784}}),
                "something of the other",
            ),
            (
                json!({"error": {"code": -32_603, "message": "Oops."}}),
                "makes the server fail",
            ),
        ] {
            let found =
                check_response(&world, &attack(), &EchoedSecrets::default(), &theirs, &nothing).join("; ");
            assert!(found.contains(wanted), "{theirs}: {found}");
        }
    }

    #[test]
    fn a_report_may_tell_what_its_caller_said_before_and_nothing_else() {
        let mut world = world();
        world.secrets.push("zither".to_owned());
        let of = |target: &str, word: &str| Attack {
            target: target.to_owned(),
            foreign: json!({"query": word}),
            absent: json!({"query": word}),
            ..attack()
        };
        let mut said = EchoedSecrets::default();
        said.note(&world, &of("search_skills", "xylophone"));
        for (target, word, leaks) in [
            ("usage_report", "xylophone", false),
            ("usage_report", "zither", true),
            ("get_skill", "xylophone", true),
        ] {
            let answer = json!({"result": {"empty_searches": [{"query": word}]}});
            let found = check_response(&world, &of(target, "nothing"), &said, &answer, &answer);
            assert_eq!(!found.is_empty(), leaks, "{target} {word}: {found:?}");
        }
    }
}
