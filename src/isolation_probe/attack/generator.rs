//! The complete list of attacks.

use super::{Attack, methods, tools};
use crate::isolation_probe::fixtures::Fixtures;
use crate::server;
use crate::tools::ToolName;

/// Returns every attack, and the tools and methods that have none.
#[must_use]
pub fn attacks(fixtures: &Fixtures) -> (Vec<Attack>, Vec<String>) {
    let (mut all, mut naming) = (Vec::new(), Vec::new());
    let mut uncovered = Vec::new();
    // `usage_report` first: it lists a limited number of the caller's own search texts, which later attacks would exceed.
    let (first, others): (Vec<ToolName>, Vec<ToolName>) = ToolName::ALL
        .iter()
        .partition(|tool| **tool == ToolName::UsageReport);
    for tool in first.iter().chain(&others) {
        let attacks = tools::attacks_on_tool(fixtures, *tool);
        if attacks.referring.is_empty() {
            uncovered.push(tool.as_str().to_owned());
        }
        all.extend(attacks.referring);
        naming.extend(attacks.naming);
    }
    all.extend(tools::attacks_on_tool_names(fixtures));
    for method in server::methods()
        .into_iter()
        .filter(|method| *method != "tools/call")
    {
        match methods::attacks_on_method(fixtures, method) {
            Some(attacks) if !attacks.is_empty() => all.extend(attacks),
            Some(_) | None => uncovered.push(method.to_owned()),
        }
    }
    // Afterwards the attacker has skills with the victim's names, so that a request for one no longer asks for a missing skill.
    all.extend(naming);
    (all, uncovered)
}
