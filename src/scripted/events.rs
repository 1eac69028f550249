//! The usage events that a step must leave behind.

use serde::Deserialize;

use super::count::Count;
use crate::registry::usage::RecentEvent;

/// Events of one kind. All events of the step's user must belong to a kind that the step lists.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct EventExpectation {
    pub(super) tool: String,
    #[serde(default = "ok")]
    pub(super) outcome: String,
    /// The skill's slug.
    pub(super) skill: Option<String>,
    pub(super) error_code: Option<String>,
    /// How many; multiplied by the step's `repeat` where it is a number.
    #[serde(default)]
    pub(super) count: Count,
}

fn ok() -> String {
    "ok".to_owned()
}

impl EventExpectation {
    /// The texts that may contain variables.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let optional = [self.skill.as_deref(), self.error_code.as_deref()];
        [Some(self.tool.as_str()), Some(self.outcome.as_str())]
            .into_iter()
            .chain(optional)
            .flatten()
    }

    fn includes(&self, event: &RecentEvent) -> bool {
        let is =
            |expected: &Option<String>, actual: &Option<String>| expected.is_none() || expected == actual;
        event.tool == self.tool
            && event.outcome == self.outcome
            && is(&self.skill, &event.skill)
            && is(&self.error_code, &event.error_code)
    }

    fn describe(&self) -> String {
        let mut text = format!("{} {}", self.tool, self.outcome);
        if let Some(code) = &self.error_code {
            text.push_str(&format!(" ({code})"));
        }
        if let Some(skill) = &self.skill {
            text.push_str(&format!(" of {skill}"));
        }
        text
    }
}

/// Compares the events of one user with the expected ones.
pub(super) fn differences(expected: &[EventExpectation], actual: &[RecentEvent], calls: u32) -> Vec<String> {
    let mut found = Vec::new();
    for kind in expected {
        let number = actual.iter().filter(|event| kind.includes(event)).count();
        let count = kind.count.times(calls);
        if !count.contains(number) {
            let kind = kind.describe();
            found.push(format!("events: expected {count} of {kind}, found {number}"));
        }
    }
    for event in actual {
        if !expected.iter().any(|kind| kind.includes(event)) {
            let skill = event
                .skill
                .as_deref()
                .map_or_else(String::new, |skill| format!(" of {skill}"));
            let code = event
                .error_code
                .as_deref()
                .map_or_else(String::new, |code| format!(" ({code})"));
            found.push(format!(
                "events: expected no others, found {} {}{code}{skill}",
                event.tool, event.outcome
            ));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::ids::EventId;

    fn event(tool: &str, outcome: &str, skill: Option<&str>) -> RecentEvent {
        RecentEvent {
            id: EventId::new(),
            created_at: Timestamp::now(),
            tool: tool.to_owned(),
            outcome: outcome.to_owned(),
            error_code: (outcome != "ok").then(|| "not_found".to_owned()),
            email: None,
            skill: skill.map(str::to_owned),
            duration_us: 1,
            transport: "stdio".to_owned(),
            protocol_version: None,
            client_name: None,
            client_version: None,
            arguments: json!({}),
            result_bytes: 0,
        }
    }

    fn compare(expected: serde_json::Value, actual: &[RecentEvent], calls: u32) -> Vec<String> {
        let expected: Vec<EventExpectation> = serde_json::from_value(expected).unwrap();
        differences(&expected, actual, calls)
    }

    #[test]
    fn expected_events_have_no_difference() {
        let actual = [
            event("get_skill", "ok", Some("a")),
            event("get_skill", "tool_error", None),
        ];
        let expected = json!([
            {"tool": "get_skill", "skill": "a"},
            {"tool": "get_skill", "outcome": "tool_error", "error_code": "not_found"},
        ]);
        assert_eq!(compare(expected, &actual, 1), [""; 0]);
        assert_eq!(compare(json!([]), &[], 1), [""; 0]);
    }

    #[test]
    fn missing_and_unexpected_events_are_told() {
        let actual = [event("get_skill", "tool_error", Some("a"))];
        assert_eq!(
            compare(json!([{"tool": "get_skill", "skill": "a"}]), &actual, 1),
            [
                "events: expected 1 of get_skill ok of a, found 0",
                "events: expected no others, found get_skill tool_error (not_found) of a",
            ]
        );
        assert_eq!(
            compare(
                json!([{"tool": "get_skill", "outcome": "tool_error", "count": 2}]),
                &actual,
                3
            ),
            ["events: expected 6 of get_skill tool_error, found 1"]
        );
        let any = json!([{"tool": "get_skill", "outcome": "tool_error", "count": {"min": 1}}]);
        assert_eq!(compare(any, &actual, 3), [""; 0]);
    }
}
