//! Random calls, and what the model expects of each.

use rand::RngExt as _;
use serde_json::{Value, json};
use skillkeep::tenancy::Scope;
use skillkeep::tools::ToolName;

use super::skill::Caller;
use super::state::{Report, Tenant};

/// The expected result of a call without a fault.
pub(super) struct Expected {
    pub(super) outcome: &'static str,
    /// What the response must contain.
    pub(super) response: ExpectedResponse,
    pub(super) effect: Effect,
}

pub(super) enum ExpectedResponse {
    /// The structured content has these values.
    Fields(Vec<(&'static str, Value)>),
    /// The message of a tool error contains this.
    Message(String),
    /// The stable code of a tool error.
    Refusal(&'static str),
    /// A JSON-RPC error with this code.
    Code(i64),
}

/// The change of the model after a successful call.
pub(super) enum Effect {
    Nothing,
    Install { skill: String, version: usize },
    Confirm { number: usize, matches: bool },
    Report { key: String, report: Report },
    Change(Change),
}

pub(super) type Change = Box<dyn FnOnce(&mut Tenant) + Send + Sync>;

pub(super) struct Call {
    /// `None` for a method, and for a tool that does not exist.
    pub(super) tool: Option<ToolName>,
    pub(super) method: &'static str,
    pub(super) params: Value,
    pub(super) scope: Option<Scope>,
    pub(super) expected: Expected,
}

pub(super) fn call(tool: ToolName, arguments: &Value, expected: Expected) -> Call {
    Call {
        tool: Some(tool),
        method: "tools/call",
        params: params(tool.as_str(), arguments),
        scope: tool.scope(),
        expected,
    }
}

fn params(name: &str, arguments: &Value) -> Value {
    json!({"name": name, "arguments": arguments})
}

pub(super) fn fields(fields: Vec<(&'static str, Value)>) -> Expected {
    Expected {
        outcome: "ok",
        response: ExpectedResponse::Fields(fields),
        effect: Effect::Nothing,
    }
}

pub(super) fn changes(
    expected: Vec<(&'static str, Value)>,
    change: impl FnOnce(&mut Tenant) + Send + Sync + 'static,
) -> Expected {
    Expected {
        effect: Effect::Change(Box::new(change)),
        ..fields(expected)
    }
}

pub(super) fn refused(code: &'static str) -> Expected {
    Expected {
        outcome: "tool_error",
        response: ExpectedResponse::Refusal(code),
        effect: Effect::Nothing,
    }
}

impl Tenant {
    /// The first calls are one of each tool, beginning with another one in each tenant; then any.
    pub(super) fn random_call(&mut self, caller: Caller) -> Call {
        let all = ToolName::ALL;
        let number = self.planned;
        self.planned += 1;
        if number >= all.len() {
            match self.random.random_range(0..14) {
                0 => return self.read(),
                1 => return self.invalid_call(),
                _ => {}
            }
        }
        let tool = if number < all.len() {
            all[(number + self.first_tool) % all.len()]
        } else {
            all[self.random.random_range(0..all.len())]
        };
        match tool {
            ToolName::SearchSkills => self.search(),
            ToolName::GetSkill => self.get_skill(caller),
            ToolName::InstallSkill => self.install(),
            ToolName::ConfirmInstall => self.confirm(caller.user),
            ToolName::CheckInstalled => self.check_installed(),
            ToolName::RecordUsage => self.report(caller.user),
            ToolName::UsageReport => self.usage_report(),
            ToolName::Recommend => self.recommend(),
            ToolName::Whoami => self.whoami(),
            ToolName::RateSkill => self.rate_skill(caller),
            ToolName::PublishSkill => self.publish_skill(caller),
            ToolName::ReviewSkill => self.review_skill(caller),
            ToolName::ForkSkill => self.fork_skill(caller),
            ToolName::UpdateSkill => self.update_skill(caller),
            ToolName::YankSkill => self.yank_skill(caller),
        }
    }

    /// Which skills are recommended depends on texts and installs; the answer must name none of another tenant.
    fn recommend(&mut self) -> Call {
        let text = self.random_skill().replace('-', " ");
        call(ToolName::Recommend, &json!({"text": text}), fields(Vec::new()))
    }

    fn whoami(&self) -> Call {
        let expected = fields(vec![
            ("tenant", json!(self.slug)),
            ("server_version", json!(env!("CARGO_PKG_VERSION"))),
        ]);
        call(ToolName::Whoami, &json!({}), expected)
    }

    fn invalid_call(&mut self) -> Call {
        let of = |params: Value, outcome: &'static str, response: ExpectedResponse| Call {
            tool: None,
            method: "tools/call",
            params,
            scope: None,
            expected: Expected {
                outcome,
                response,
                effect: Effect::Nothing,
            },
        };
        match self.random.random_range(0..3) {
            0 => of(
                params("drop_tables", &json!({})),
                "unknown_tool",
                ExpectedResponse::Code(-32_602),
            ),
            1 => of(
                json!({"arguments": {}}),
                "malformed",
                ExpectedResponse::Code(-32_602),
            ),
            _ => of(
                params("whoami", &json!({"tenant": "tenant-0"})),
                "invalid_arguments",
                ExpectedResponse::Message("Invalid arguments for".to_owned()),
            ),
        }
    }
}
