//! Whether the attacks reached their targets. A rejection before the target (key, limit, validation) says nothing about tenants.

use std::collections::BTreeMap;

use rmcp::model::skill_name_from_uri;
use serde_json::Value;

use super::attack::Attack;
use super::report::ProbeReport;
use crate::registry::usage::CallOutcome;
use crate::server;

/// Usage events by tool and outcome.
type EventCounts = BTreeMap<(String, String), usize>;

/// Outcomes that the tool or method itself produces.
const TARGET_OUTCOMES: [CallOutcome; 3] = [
    CallOutcome::Ok,
    CallOutcome::ToolError,
    CallOutcome::InvalidArguments,
];
/// Outcomes of a call that names no existing tool.
const NO_TOOL_OUTCOMES: [CallOutcome; 2] = [CallOutcome::UnknownTool, CallOutcome::Malformed];
/// The target of the calls that name no existing tool.
const NO_TOOL: &str = "tools/call";

/// The requests sent, by target.
#[derive(Default)]
pub(super) struct AttackCoverage(BTreeMap<String, TargetCoverage>);

#[derive(Default)]
struct TargetCoverage {
    /// Requests that must leave a usage event.
    recorded: usize,
    /// Requests that leave none; whether they reached the target is judged from the response.
    unrecorded: usize,
    unrecorded_reached: usize,
}

impl AttackCoverage {
    pub(super) fn record(&mut self, attack: &Attack, response: &Value) {
        let coverage = self.0.entry(attack.target.clone()).or_default();
        if server::is_recorded(attack.method) {
            // rmcp rejects a URI that cannot be a skill's before the server sees the request.
            let uri = attack
                .attacker_params
                .get("uri")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let reaches_server = attack.method != "skills/get" || skill_name_from_uri(uri).is_some();
            coverage.recorded += usize::from(reaches_server);
        } else {
            coverage.unrecorded += 1;
            coverage.unrecorded_reached += usize::from(is_from_target(response));
        }
    }

    /// Compares the attacker's usage events before and after the attacks with the requests sent. Sets `reached` of each target
    /// in the report, and adds a finding for each difference.
    pub(super) fn check(&self, before: &EventCounts, after: &EventCounts, report: &mut ProbeReport) {
        let mut all_recorded = 0;
        for (target, coverage) in &self.0 {
            let outcomes: &[CallOutcome] = if target == NO_TOOL {
                &NO_TOOL_OUTCOMES
            } else {
                &TARGET_OUTCOMES
            };
            let recorded = new_events(before, after, target, outcomes);
            all_recorded += recorded;
            let reached = coverage.unrecorded_reached + recorded;
            if let Some(tally) = report.targets.get_mut(target) {
                tally.reached = reached;
            }
            let sent = coverage.recorded + coverage.unrecorded;
            if reached != sent {
                report
                    .findings
                    .push(format!("{target}: only {reached} of {sent} attacks reached it"));
            }
            let executed = [CallOutcome::Ok, CallOutcome::ToolError];
            if coverage.recorded > 0 && target != NO_TOOL && new_events(before, after, target, &executed) == 0
            {
                report
                    .findings
                    .push(format!("{target}: no attack was executed by it"));
            }
        }
        let new: usize = after
            .values()
            .sum::<usize>()
            .saturating_sub(before.values().sum());
        if new != all_recorded {
            report.findings.push(format!(
                "the attacker has {new} new usage events, but {all_recorded} attacks should have left one"
            ));
        }
    }
}

/// Counts the new events of a target with one of these outcomes. Those of `NO_TOOL` can have any tool name.
fn new_events(before: &EventCounts, after: &EventCounts, target: &str, outcomes: &[CallOutcome]) -> usize {
    let is_counted = |(tool, outcome): &(String, String)| {
        (tool == target || target == NO_TOOL) && outcomes.iter().any(|counted| counted.as_str() == outcome)
    };
    let sum = |counts: &EventCounts| -> usize {
        let counted = counts.iter().filter(|(key, _)| is_counted(key));
        counted.map(|(_, count)| count).sum()
    };
    sum(after).saturating_sub(sum(before))
}

/// Whether a response that leaves no usage event comes from the method itself, not from a check before it.
fn is_from_target(response: &Value) -> bool {
    match response.pointer("/error/code").and_then(Value::as_i64) {
        // Invalid parameters and unknown resources.
        Some(code) => code == -32_602 || code == -32_002,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::isolation_probe::report::Tally;

    fn attack(target: &str, method: &'static str) -> Attack {
        Attack {
            target: target.to_owned(),
            description: String::new(),
            method,
            attacker_params: json!({}),
            control_params: json!({}),
        }
    }

    fn findings(outcome: &str, response: &Value) -> Vec<String> {
        let mut coverage = AttackCoverage::default();
        coverage.record(&attack("whoami", "tools/call"), response);
        coverage.record(&attack("tools/list", "tools/list"), response);
        let after = BTreeMap::from([(("whoami".to_owned(), outcome.to_owned()), 1)]);
        let mut report = ProbeReport::default();
        report.targets.insert("whoami".to_owned(), Tally::default());
        coverage.check(&BTreeMap::new(), &after, &mut report);
        report.findings
    }

    #[test]
    fn attack_executed_or_rejected_by_its_target_counts_as_reached() {
        assert_eq!(findings("ok", &json!({"result": {}})), Vec::<String>::new());
        let invalid = json!({"error": {"code": -32_602}});
        assert_eq!(findings("tool_error", &invalid), Vec::<String>::new());
    }

    #[test]
    fn attack_rejected_before_its_target_is_a_finding() {
        let limit = json!({"error": {"code": -31_029}});
        let found = findings("over_limit", &limit).join("; ");
        for expected in [
            "whoami: only 0 of 1 attacks reached it",
            "whoami: no attack was executed",
            "tools/list: only 0 of 1",
            "has 1 new usage events, but 0",
        ] {
            assert!(found.contains(expected), "{found}");
        }
    }
}
