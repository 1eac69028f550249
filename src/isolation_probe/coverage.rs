//! Whether the attacks reached what they were meant for: a refusal on the way there says nothing about tenants.

use std::collections::BTreeMap;

use rmcp::model::skill_name_from_uri;
use serde_json::Value;

use super::ProbeReport;
use super::attack::Attack;
use crate::registry::usage::CallOutcome;
use crate::server;

/// Calls by tool and outcome, as they are recorded.
type Counts = BTreeMap<(String, String), usize>;

/// What the tool or the method itself came to.
const ITS_OWN: [CallOutcome; 3] = [
    CallOutcome::Ok,
    CallOutcome::ToolError,
    CallOutcome::InvalidArguments,
];
/// What a call that names no tool comes to.
const OF_NO_TOOL: [CallOutcome; 2] = [CallOutcome::UnknownTool, CallOutcome::Malformed];
const NO_TOOL: &str = "tools/call";

/// What was asked, by target.
#[derive(Default)]
pub(super) struct AttackCoverage(BTreeMap<String, Expected>);

#[derive(Default)]
struct Expected {
    /// Of these there must be a record.
    recorded: usize,
    /// Of these there is none, and the answer tells who gave it.
    unrecorded: usize,
    reached: usize,
}

impl AttackCoverage {
    pub(super) fn note(&mut self, attack: &Attack, answer: &Value) {
        let expected = self.0.entry(attack.target.clone()).or_default();
        if server::is_recorded(attack.method) {
            // The framework refuses what cannot be a skill before the server sees it.
            let uri = attack
                .foreign
                .get("uri")
                .and_then(Value::as_str)
                .unwrap_or_default();
            let is_seen = attack.method != "skills/get" || skill_name_from_uri(uri).is_some();
            expected.recorded += usize::from(is_seen);
        } else {
            expected.unrecorded += 1;
            expected.reached += usize::from(is_the_methods_own(answer));
        }
    }

    /// Puts into the proof how many attacks reached their target, and finds where it was fewer than it must be.
    pub(super) fn compare(&self, before: &Counts, after: &Counts, proof: &mut ProbeReport) {
        let mut all = 0;
        for (target, expected) in &self.0 {
            let new = |outcomes: &[CallOutcome]| -> usize {
                let is_meant = |(tool, outcome): &(String, String)| {
                    (tool == target || target == NO_TOOL)
                        && outcomes.iter().any(|meant| meant.as_str() == outcome)
                };
                let sum = |counts: &Counts| -> usize {
                    let meant = counts.iter().filter(|(key, _)| is_meant(key));
                    meant.map(|(_, count)| count).sum()
                };
                sum(after).saturating_sub(sum(before))
            };
            let recorded = if target == NO_TOOL {
                new(&OF_NO_TOOL)
            } else {
                new(&ITS_OWN)
            };
            all += recorded;
            let reached = expected.reached + recorded;
            if let Some(tally) = proof.targets.get_mut(target) {
                tally.reached = reached;
            }
            let meant = expected.recorded + expected.unrecorded;
            if reached != meant {
                proof
                    .findings
                    .push(format!("{target}: only {reached} of {meant} attacks reached it"));
            }
            if expected.recorded > 0
                && target != NO_TOOL
                && new(&[CallOutcome::Ok, CallOutcome::ToolError]) == 0
            {
                proof
                    .findings
                    .push(format!("{target}: no attack came so far that it ran"));
            }
        }
        let grown = after
            .values()
            .sum::<usize>()
            .saturating_sub(before.values().sum());
        if grown != all {
            proof.findings.push(format!(
                "the attacker's record grew by {grown} calls, and {all} attacks belong in it"
            ));
        }
    }
}

/// Whether an answer that leaves no record is the method's own, and not that of a key, a limit or a screen before it.
fn is_the_methods_own(answer: &Value) -> bool {
    match answer.pointer("/error/code").and_then(Value::as_i64) {
        // Invalid parameters and unknown resources.
        Some(code) => code == -32_602 || code == -32_002,
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::isolation_probe::Tally;

    fn attack(target: &str, method: &'static str) -> Attack {
        Attack {
            target: target.to_owned(),
            what: String::new(),
            method,
            foreign: json!({}),
            absent: json!({}),
        }
    }

    fn findings(outcome: &str, answer: &Value) -> Vec<String> {
        let mut asked = AttackCoverage::default();
        asked.note(&attack("whoami", "tools/call"), answer);
        asked.note(&attack("tools/list", "tools/list"), answer);
        let after = BTreeMap::from([(("whoami".to_owned(), outcome.to_owned()), 1)]);
        let mut proof = ProbeReport::default();
        proof.targets.insert("whoami".to_owned(), Tally::default());
        asked.compare(&BTreeMap::new(), &after, &mut proof);
        proof.findings
    }

    #[test]
    fn an_attack_that_ran_or_was_refused_by_its_target_has_reached_it() {
        assert_eq!(findings("ok", &json!({"result": {}})), Vec::<String>::new());
        let invalid = json!({"error": {"code": -32_602}});
        assert_eq!(findings("tool_error", &invalid), Vec::<String>::new());
    }

    #[test]
    fn an_attack_that_was_stopped_on_its_way_is_found() {
        let limit = json!({"error": {"code": -31_029}});
        let found = findings("over_limit", &limit).join("; ");
        for wanted in [
            "whoami: only 0 of 1 attacks reached it",
            "whoami: no attack came so far",
            "tools/list: only 0 of 1",
            "grew by 1 calls, and 0",
        ] {
            assert!(found.contains(wanted), "{found}");
        }
    }
}
