//! One step of a test file: a call of one user, and what it must answer.

use std::collections::{BTreeMap, HashSet};

use serde::Deserialize;
use serde_json::{Map, Value};

use super::events::EventExpectation;
use super::expectation::Expectation;
use super::pointer;
use super::skill_file::SkillFileSpec;
use super::variables::{self, Variables};

/// The most calls of one step.
const MAX_REPEAT: u32 = 1000;
/// The variable with the number of the call in a repeated step.
pub(super) const REPEAT_NUMBER: &str = "n";

/// A step as it is written.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Step {
    pub(super) name: Option<String>,
    /// The user who calls.
    #[serde(rename = "as")]
    pub(super) user: String,
    /// The tool.
    pub(super) call: String,
    /// The tool's arguments.
    #[serde(default)]
    with: Map<String, Value>,
    /// The argument `files` of publish_skill, by path.
    files: Option<BTreeMap<String, SkillFileSpec>>,
    #[serde(default)]
    pub(super) expect: Expectation,
    /// All usage events that the user's calls in this step leave. Without it, they are not looked at.
    pub(super) events: Option<Vec<EventExpectation>>,
    /// JSON pointers into the result, by the name of the variable.
    #[serde(default)]
    pub(super) save: BTreeMap<String, String>,
    #[serde(default = "once")]
    pub(super) repeat: u32,
}

const fn once() -> u32 {
    1
}

impl Step {
    /// What is wrong with the step. `known` are the variables that have a value before it.
    pub(super) fn check(&self, known: &HashSet<String>) -> Result<(), String> {
        if !(1..=MAX_REPEAT).contains(&self.repeat) {
            return Err(format!("`repeat` must be 1 to {MAX_REPEAT}"));
        }
        if self.files.is_some() && self.with.contains_key("files") {
            return Err("`files` is given twice; remove it from `with`".to_owned());
        }
        for (path, file) in self.files.iter().flatten() {
            file.check(path)?;
        }
        self.expect.check()?;
        for (name, place) in &self.save {
            let is_name = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
            if name.is_empty() || !is_name {
                return Err(format!(
                    "the variable \"{name}\" may have letters, digits and _ only"
                ));
            }
            pointer::check(place)?;
        }
        for name in self.variables() {
            let is_repeat_number = name == REPEAT_NUMBER && self.repeat > 1;
            if !known.contains(&name) && !is_repeat_number {
                return Err(format!(
                    "${{{name}}} has no value here; an earlier step must save it (write $${{ for the text itself)"
                ));
            }
        }
        Ok(())
    }

    fn variables(&self) -> Vec<String> {
        let arguments = Value::Object(self.written_arguments());
        let events = self.events.iter().flatten().flat_map(EventExpectation::texts);
        variables::names_in(&arguments)
            .into_iter()
            .chain(self.expect.variables())
            .chain(self.save.values().flat_map(|place| variables::names(place)))
            .chain(events.flat_map(variables::names))
            .map(str::to_owned)
            .collect()
    }

    /// The arguments before variables are replaced, with `files`.
    fn written_arguments(&self) -> Map<String, Value> {
        let mut arguments = self.with.clone();
        if let Some(files) = &self.files {
            let files = files.iter().map(|(path, file)| file.argument(path)).collect();
            arguments.insert("files".to_owned(), Value::Array(files));
        }
        arguments
    }

    /// The arguments of the call.
    ///
    /// # Errors
    /// The name of a variable without a value.
    pub(super) fn arguments(&self, values: &Variables) -> Result<Map<String, Value>, String> {
        variables::replace_in_map(&self.written_arguments(), values)
    }

    /// The expected events with their variables replaced.
    ///
    /// # Errors
    /// The name of a variable without a value.
    pub(super) fn expected_events(
        &self,
        values: &Variables,
    ) -> Result<Option<Vec<EventExpectation>>, String> {
        let Some(events) = &self.events else {
            return Ok(None);
        };
        let replaced = events.iter().map(|event| {
            let optional = |text: &Option<String>| {
                text.as_ref()
                    .map(|text| variables::replace(text, values))
                    .transpose()
            };
            Ok(EventExpectation {
                tool: variables::replace(&event.tool, values)?,
                outcome: variables::replace(&event.outcome, values)?,
                skill: optional(&event.skill)?,
                error_code: optional(&event.error_code)?,
                count: event.count,
            })
        });
        replaced.collect::<Result<_, String>>().map(Some)
    }
}
