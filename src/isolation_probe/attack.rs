//! The questions: every tool with every thing of the victim's in every place of its arguments, and every method.

use serde_json::{Value, json};

use super::fixtures::{Fixtures, Identifier, MISSING, VICTIM_ONLY};
use super::injection_payloads::INJECTION_PAYLOADS;
use super::methods;
use super::schema::{instance, minimal, text_places};
use crate::server;
use crate::tools::ToolName;

/// One question of the attacker, with the one that his control asks beside it.
#[derive(Debug, Clone)]
pub struct Attack {
    /// The tool, or the method where it is not `tools/call`.
    pub target: String,
    /// What is tried.
    pub what: String,
    /// The method.
    pub method: &'static str,
    /// The attacker's parameters.
    pub foreign: Value,
    /// The control's.
    pub absent: Value,
}

/// Every attack, and the tools and methods that have none.
#[must_use]
pub fn attacks(world: &Fixtures) -> (Vec<Attack>, Vec<String>) {
    let mut all = Vec::new();
    let mut uncovered = Vec::new();
    // The report first: it tells each caller the words that he used himself, and only so many of them.
    let (first, others): (Vec<ToolName>, Vec<ToolName>) = ToolName::ALL
        .iter()
        .partition(|tool| **tool == ToolName::UsageReport);
    for tool in first.iter().chain(&others) {
        let before = all.len();
        of_tool(world, *tool, &mut all);
        if all.len() == before {
            uncovered.push(tool.as_str().to_owned());
        }
    }
    of_no_tool(world, &mut all);
    for method in server::methods()
        .into_iter()
        .filter(|method| *method != "tools/call")
    {
        match methods::of(world, method) {
            Some(attacks) if !attacks.is_empty() => all.extend(attacks),
            Some(_) | None => uncovered.push(method.to_owned()),
        }
    }
    (all, uncovered)
}

fn of_tool(world: &Fixtures, tool: ToolName, all: &mut Vec<Attack>) {
    let schema = Value::Object((*tool.describe().input_schema).clone());
    let name = tool.as_str();
    let mut push = |what: String, foreign: Value, absent: Value| {
        all.push(Attack {
            target: name.to_owned(),
            what,
            method: "tools/call",
            foreign: json!({"name": name, "arguments": foreign}),
            absent: json!({"name": name, "arguments": absent}),
        });
    };
    let handles = world.handles.iter().cloned().chain(with_injection());
    for handle in handles {
        for place in text_places(&schema) {
            push(
                format!("{} as {}", handle.what, place.join(".")),
                instance(&schema, &place, &handle.foreign, &world.attacker),
                instance(&schema, &place, &handle.absent, &world.control),
            );
        }
        // An argument that there is not, as if it named the tenant to work for.
        for extra in ["tenant_id", "tenant", "api_key", "app.current_tenant_id"] {
            let with = |arguments: Value, text: &str| {
                let mut arguments = arguments;
                if let Some(arguments) = arguments.as_object_mut() {
                    arguments.insert(extra.to_owned(), json!(text));
                }
                arguments
            };
            push(
                format!("{} as an argument {extra}", handle.what),
                with(minimal(&schema, &world.attacker), &handle.foreign),
                with(minimal(&schema, &world.control), &handle.absent),
            );
        }
    }
    // Beside the arguments, where a careless server might look for a tenant.
    for handle in &world.handles {
        all.push(Attack {
            target: name.to_owned(),
            what: format!("{} in _meta", handle.what),
            method: "tools/call",
            foreign: beside(name, minimal(&schema, &world.attacker), &handle.foreign),
            absent: beside(name, minimal(&schema, &world.control), &handle.absent),
        });
    }
}

/// A tool that there is not, by the name of something of the victim's; and no tool at all.
fn of_no_tool(world: &Fixtures, all: &mut Vec<Attack>) {
    for handle in world.handles.iter().cloned().chain(with_injection()) {
        for (what, params) in [
            (
                "as a tool's name",
                (|text| json!({"name": text})) as fn(&str) -> Value,
            ),
            ("without a tool", |text| json!({"arguments": {"skill": text}})),
            (
                "as arguments",
                |text| json!({"name": "whoami", "arguments": text}),
            ),
        ] {
            all.push(Attack {
                target: "tools/call".to_owned(),
                what: format!("{} {what}", handle.what),
                method: "tools/call",
                foreign: params(&handle.foreign),
                absent: params(&handle.absent),
            });
        }
    }
}

fn beside(tool: &str, arguments: Value, text: &str) -> Value {
    let meta =
        json!({"tenant": text, "tenant_id": text, "dev.skillkeep/tenant": text, "authorization": text});
    json!({"name": tool, "arguments": arguments, "_meta": meta, "tenant_id": text})
}

fn with_injection() -> impl Iterator<Item = Identifier> {
    INJECTION_PAYLOADS.iter().map(|text| Identifier {
        what: "a text that breaks out",
        foreign: text.replace("{}", VICTIM_ONLY),
        absent: text.replace("{}", MISSING),
    })
}
