//! Attacks through the MCP methods other than `tools/call`.

use serde_json::{Value, json};

use super::Attack;
use super::injection_payloads::injection_identifiers;
use crate::isolation_probe::fixtures::Fixtures;
use crate::isolation_probe::positive_control::completion_params;
use crate::isolation_probe::test_tenant::{Identifier, SHARED_SKILL};

/// Returns the attacks on a method; `None` if none are written for it.
pub(super) fn attacks_on_method(fixtures: &Fixtures, method: &'static str) -> Option<Vec<Attack>> {
    let builder = AttackBuilder { fixtures, method };
    let attacks = match method {
        "resources/read" | "skills/get" | "resources/subscribe" | "resources/unsubscribe" => {
            builder.with_uri()
        }
        "resources/directory/read" => {
            let mut attacks = builder.with_uri();
            attacks.extend(builder.with_cursor(
                |cursor| json!({"uri": format!("skill://{SHARED_SKILL}/1/{SHARED_SKILL}"), "cursor": cursor}),
            ));
            attacks
        }
        "prompts/get" => builder.with_prompt(),
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" | "skills/list" => {
            let mut attacks = builder.with_cursor(|cursor| json!({"cursor": cursor}));
            attacks.extend(builder.with_tenant_outside_params(&json!({})));
            attacks
        }
        "completion/complete" => builder.with_completion(),
        "initialize" => builder.with_tenant_outside_params(&json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "skillkeep-probe", "version": "1"}
        })),
        "ping" | "server/discover" => builder.with_tenant_outside_params(&json!({})),
        "subscriptions/listen" => builder.with_subscription(),
        _ => return None,
    };
    Some(attacks)
}

struct AttackBuilder<'a> {
    fixtures: &'a Fixtures,
    method: &'static str,
}

impl AttackBuilder<'_> {
    fn attack(&self, id: &Identifier, params: impl Fn(&str) -> Value) -> Attack {
        Attack {
            target: self.method.to_owned(),
            description: id.kind.to_owned(),
            method: self.method,
            attacker_params: params(&id.existing),
            control_params: params(&id.missing),
        }
    }

    /// One attack for every identifier and every injection payload.
    fn all(&self, params: impl Fn(&str) -> Value) -> Vec<Attack> {
        let identifiers = self.fixtures.identifiers.iter().cloned();
        identifiers
            .chain(injection_identifiers())
            .map(|id| self.attack(&id, &params))
            .collect()
    }

    fn with_uri(&self) -> Vec<Attack> {
        let mut attacks = self.all(|text| json!({"uri": text}));
        // As each part of a skill's URI, and as the user, query and fragment that URIs can have.
        for form in [
            "skill://{}/1/{}/SKILL.md",
            "skill://{}/1/shared/SKILL.md",
            "skill://shared/{}/shared/SKILL.md",
            "skill://shared/1/{}/SKILL.md",
            "skill://shared/1/shared/{}",
            "skill://{}@shared/1/shared/SKILL.md",
            "skill://shared/1/shared/SKILL.md?tenant={}",
            "skill://shared/1/shared/SKILL.md#{}",
            "file:///{}",
        ] {
            attacks.extend(self.all(|text| json!({"uri": form.replace("{}", text)})));
        }
        attacks
    }

    fn with_prompt(&self) -> Vec<Attack> {
        let mut attacks = self.all(|text| json!({"name": text}));
        for argument in ["version", "task", "tag", "tenant"] {
            attacks.extend(self.all(|text| json!({"name": SHARED_SKILL, "arguments": {argument: text}})));
        }
        attacks
    }

    /// The victim's cursors for this list and for all others, and every other identifier as a cursor.
    fn with_cursor(&self, params: impl Fn(&str) -> Value) -> Vec<Attack> {
        let cursors = self.fixtures.cursors.iter().map(|(_, cursor)| cursor);
        let mut attacks: Vec<Attack> = cursors.map(|cursor| self.attack(cursor, &params)).collect();
        attacks.extend(self.all(&params));
        attacks
    }

    fn with_completion(&self) -> Vec<Attack> {
        let mut attacks = self.all(|text| completion_params("skill", text));
        for argument in ["version", "name", "path"] {
            attacks.extend(self.all(|text| {
                let mut params = completion_params(argument, "");
                if let Some(params) = params.as_object_mut() {
                    let context = json!({"arguments": {"skill": text, "version": "1"}});
                    params.insert("context".to_owned(), context);
                }
                params
            }));
        }
        attacks.extend(self.all(|text| {
            json!({"ref": {"type": "ref/prompt", "name": text}, "argument": {"name": "version", "value": ""}})
        }));
        attacks
    }

    /// Valid parameters with a tenant beside them and in `_meta`.
    fn with_tenant_outside_params(&self, params: &Value) -> Vec<Attack> {
        self.all(|text| {
            let mut params = params.clone();
            if let Some(params) = params.as_object_mut() {
                params.insert("tenant_id".to_owned(), json!(text));
                params.insert("_meta".to_owned(), json!({"tenant": text, "authorization": text}));
            }
            params
        })
    }

    fn with_subscription(&self) -> Vec<Attack> {
        self.all(|text| {
            json!({
                "notifications": {"resourcesListChanged": true, "promptsListChanged": true, "resourceSubscriptions": [text]},
                "tenant_id": text,
            })
        })
    }
}
