//! What a step expects of its reply, and the comparison with what came.

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde_json::Value;

use super::comparison;
use super::count::Count;
use super::pointer;
use super::variables::{self, Variables};
use crate::tool_client::{CallReply, Outcome};

/// The longest value in a failure message, in characters.
const MAX_SHOWN: usize = 400;

/// The expectations of a step. Keys of the mappings are JSON pointers into the result.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Expectation {
    /// How the call ends; without it, `ok`, or anything but `ok` if there is an `error`.
    pub(super) outcome: Option<String>,
    pub(super) error: Option<ErrorExpectation>,
    pub(super) equals: BTreeMap<String, Value>,
    /// Regular expressions.
    pub(super) matches: BTreeMap<String, String>,
    /// Items of a list, with some of their fields, or parts of a text: one, or a list of several.
    pub(super) contains: BTreeMap<String, Value>,
    /// Numbers of items of a list or object.
    pub(super) count: BTreeMap<String, Count>,
    pub(super) exists: Vec<String>,
    pub(super) absent: Vec<String>,
}

/// The expected error of a call.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct ErrorExpectation {
    /// The registry's identifier of the error, such as `not_found`.
    pub(super) code: Option<String>,
    /// A part of the error's text.
    pub(super) text: Option<String>,
    /// A regular expression for the error's text.
    pub(super) matches: Option<String>,
}

/// A difference between an expectation and a reply.
fn difference(place: &str, expected: &str, actual: &str) -> String {
    format!("{place}: expected {expected}, found {actual}")
}

impl Expectation {
    /// What is wrong with the expectation itself.
    pub(super) fn check(&self) -> Result<(), String> {
        if let Some(name) = &self.outcome
            && Outcome::from_name(name).is_none()
        {
            let names: Vec<&str> = Outcome::ALL.iter().map(|outcome| outcome.as_str()).collect();
            return Err(format!(
                "\"{name}\" is not an outcome; the outcomes are {}",
                names.join(", ")
            ));
        }
        if self.error.is_some() && self.outcome.as_deref() == Some(Outcome::Ok.as_str()) {
            return Err("a call with the outcome ok has no error; remove one of the two".to_owned());
        }
        for place in self.pointers() {
            pointer::check(place)?;
        }
        for pattern in self.patterns() {
            // A variable stands for quoted text; any text without special characters shows whether the pattern is valid.
            if variables::names(pattern).next().is_none() {
                compile(pattern)?;
            }
        }
        Ok(())
    }

    fn pointers(&self) -> impl Iterator<Item = &String> {
        self.equals
            .keys()
            .chain(self.matches.keys())
            .chain(self.contains.keys())
            .chain(self.count.keys())
            .chain(&self.exists)
            .chain(&self.absent)
    }

    fn patterns(&self) -> impl Iterator<Item = &String> {
        let of_error = self.error.iter().filter_map(|error| error.matches.as_ref());
        self.matches.values().chain(of_error)
    }

    /// The variables that the expectations use.
    pub(super) fn variables(&self) -> Vec<&str> {
        let error = self.error.iter().flat_map(|error| [&error.code, &error.text]);
        let texts = self
            .pointers()
            .chain(self.patterns())
            .chain(error.filter_map(Option::as_ref));
        texts
            .flat_map(|text| variables::names(text))
            .chain(self.equals.values().flat_map(variables::names_in))
            .chain(self.contains.values().flat_map(variables::names_in))
            .collect()
    }

    /// Compares a reply with the expectations and returns the differences.
    ///
    /// # Errors
    /// The name of a variable without a value.
    pub(super) fn differences(&self, reply: &CallReply, values: &Variables) -> Result<Vec<String>, String> {
        let outcome = self.outcome_difference(reply);
        if !outcome.is_empty() {
            // All other differences would only follow from this one.
            return Ok(outcome);
        }
        let mut found = Vec::new();
        if let Some(error) = &self.error {
            found.extend(error.differences(reply, values)?);
        }
        let result = &reply.result;
        for (place, expected) in &self.equals {
            let (place, expected) = (
                variables::replace(place, values)?,
                variables::replace_in(expected, values)?,
            );
            found.extend(equals(result, &place, &expected));
        }
        for (place, parts) in &self.contains {
            let parts = variables::replace_in(parts, values)?;
            found.extend(contains(result, &variables::replace(place, values)?, &parts));
        }
        for (place, pattern) in &self.matches {
            let place = variables::replace(place, values)?;
            let pattern = variables::replace_with(pattern, values, regex::escape)?;
            found.extend(matches(result, &place, &pattern));
        }
        for (place, count) in &self.count {
            found.extend(counts(result, &variables::replace(place, values)?, *count));
        }
        for place in &self.exists {
            let place = variables::replace(place, values)?;
            if result.pointer(&place).is_none() {
                let actual = pointer::explain_missing(result, &place);
                found.push(difference(&place, "a value", &actual));
            }
        }
        for place in &self.absent {
            let place = variables::replace(place, values)?;
            if let Some(actual) = result.pointer(&place) {
                found.push(difference(&place, "nothing", &shown(actual)));
            }
        }
        Ok(found)
    }

    fn outcome_difference(&self, reply: &CallReply) -> Vec<String> {
        let actual = reply.outcome.as_str();
        let expected = match (&self.outcome, &self.error) {
            (Some(outcome), _) if outcome == actual => return Vec::new(),
            (Some(outcome), _) => outcome.as_str(),
            (None, Some(_)) if reply.outcome != Outcome::Ok => return Vec::new(),
            (None, Some(_)) => "an error",
            (None, None) if reply.outcome == Outcome::Ok => return Vec::new(),
            (None, None) => Outcome::Ok.as_str(),
        };
        let actual = match (&reply.error_code, reply.error.as_str()) {
            (_, "") => actual.to_owned(),
            (Some(code), text) => format!("{actual} ({code}): {text}"),
            (None, text) => format!("{actual}: {text}"),
        };
        vec![difference("outcome", expected, &actual)]
    }
}

impl ErrorExpectation {
    fn differences(&self, reply: &CallReply, values: &Variables) -> Result<Vec<String>, String> {
        let mut found = Vec::new();
        if let Some(code) = &self.code {
            let code = variables::replace(code, values)?;
            let actual = reply.error_code.as_deref().unwrap_or("no code");
            if actual != code {
                found.push(difference(
                    "error code",
                    &code,
                    &format!("{actual}: {}", reply.error),
                ));
            }
        }
        if let Some(text) = &self.text {
            let text = variables::replace(text, values)?;
            if !reply.error.contains(&text) {
                let expected = format!("a text with \"{text}\"");
                found.push(difference("error text", &expected, &quoted(&reply.error)));
            }
        }
        if let Some(pattern) = &self.matches {
            let pattern = variables::replace_with(pattern, values, regex::escape)?;
            match compile(&pattern) {
                Ok(regex) if regex.is_match(&reply.error) => {}
                Ok(_) => {
                    let expected = format!("a text that matches {pattern}");
                    found.push(difference("error text", &expected, &quoted(&reply.error)));
                }
                Err(error) => found.push(error),
            }
        }
        Ok(found)
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    Regex::new(pattern).map_err(|error| {
        let reason = error.to_string();
        let last = reason.lines().last().unwrap_or_default().trim();
        format!("\"{pattern}\" is not a regular expression: {last}")
    })
}

fn equals(result: &Value, place: &str, expected: &Value) -> Option<String> {
    match result.pointer(place) {
        Some(actual) if comparison::is_same(actual, expected) => None,
        Some(actual) => Some(difference(place, &shown(expected), &shown(actual))),
        None => {
            let actual = pointer::explain_missing(result, place);
            Some(difference(place, &shown(expected), &actual))
        }
    }
}

/// A list stands for several parts, each of which must be there.
fn contains(result: &Value, place: &str, parts: &Value) -> Vec<String> {
    let parts = match parts {
        Value::Array(parts) => parts.as_slice(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => {
            std::slice::from_ref(parts)
        }
    };
    let missing = parts.iter().filter(|part| {
        !result
            .pointer(place)
            .is_some_and(|value| comparison::contains(value, part))
    });
    missing
        .map(|part| {
            let actual = match result.pointer(place) {
                Some(value) => shown(value),
                None => pointer::explain_missing(result, place),
            };
            difference(place, &format!("a value with {}", shown(part)), &actual)
        })
        .collect()
}

fn matches(result: &Value, place: &str, pattern: &str) -> Option<String> {
    let regex = match compile(pattern) {
        Ok(regex) => regex,
        Err(error) => return Some(format!("{place}: {error}")),
    };
    let expected = format!("a text that matches {pattern}");
    match result.pointer(place) {
        None => {
            let actual = pointer::explain_missing(result, place);
            Some(difference(place, &expected, &actual))
        }
        Some(Value::String(text)) if regex.is_match(text) => None,
        Some(Value::Number(number)) if regex.is_match(&number.to_string()) => None,
        Some(actual) => Some(difference(place, &expected, &shown(actual))),
    }
}

fn counts(result: &Value, place: &str, expected: Count) -> Option<String> {
    let number = match result.pointer(place) {
        Some(Value::Array(items)) => items.len(),
        Some(Value::Object(map)) => map.len(),
        Some(other @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_))) => {
            let expected = format!("a list of {expected} items");
            return Some(difference(place, &expected, &shown(other)));
        }
        None => {
            let expected = format!("a list of {expected} items");
            let actual = pointer::explain_missing(result, place);
            return Some(difference(place, &expected, &actual));
        }
    };
    let is_expected = expected.contains(number);
    (!is_expected).then(|| difference(place, &format!("{expected} items"), &format!("{number} items")))
}

fn shown(value: &Value) -> String {
    shortened(&value.to_string())
}

fn quoted(text: &str) -> String {
    shortened(&format!("\"{text}\""))
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_SHOWN) {
        Some((at, _)) => format!("{}…", text.get(..at).unwrap_or_default()),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests;
