//! The questions to the protocol's methods. A method without any is reported as not covered.

use serde_json::{Value, json};

use super::attack::Attack;
use super::fixtures::{Fixtures, Identifier, MISSING, SHARED, VICTIM_ONLY};
use super::injection_payloads::INJECTION_PAYLOADS;

/// The attacks on a method; `None` for one that nobody thought of.
pub(super) fn of(world: &Fixtures, method: &'static str) -> Option<Vec<Attack>> {
    let maker = Maker { world, method };
    let attacks = match method {
        "resources/read" | "skills/get" | "resources/subscribe" | "resources/unsubscribe" => maker.with_uri(),
        "resources/directory/read" => {
            let mut attacks = maker.with_uri();
            attacks.extend(maker.with_cursor(|cursor| json!({"uri": format!("skill://{SHARED}/1/{SHARED}"), "cursor": cursor})));
            attacks
        }
        "prompts/get" => maker.with_prompt(),
        "tools/list" | "resources/list" | "resources/templates/list" | "prompts/list" | "skills/list" => {
            let mut attacks = maker.with_cursor(|cursor| json!({"cursor": cursor}));
            attacks.extend(maker.with_meta(&json!({})));
            attacks
        }
        "completion/complete" => maker.with_completion(),
        "initialize" => maker.with_meta(&json!({
            "protocolVersion": "2025-11-25", "capabilities": {}, "clientInfo": {"name": "skillkeep-proof", "version": "1"}
        })),
        "ping" | "server/discover" => maker.with_meta(&json!({})),
        "subscriptions/listen" => maker.with_listening(),
        _ => return None,
    };
    Some(attacks)
}

/// What a party asks this method about its own things. `tools/call` has the tools' own questions, and who is introduced need not
/// introduce himself again.
pub(super) fn own(method: &str) -> Option<Value> {
    let uri = format!("skill://{SHARED}/1/{SHARED}");
    match method {
        "tools/call" | "initialize" => None,
        "resources/read" | "skills/get" | "resources/subscribe" | "resources/unsubscribe" => {
            Some(json!({"uri": format!("{uri}/SKILL.md")}))
        }
        "resources/directory/read" => Some(json!({"uri": uri})),
        "prompts/get" => Some(json!({"name": SHARED})),
        "completion/complete" => Some(completion("skill", "")),
        "subscriptions/listen" => Some(json!({"notifications": {"resourcesListChanged": true}})),
        _ => Some(json!({})),
    }
}

fn completion(argument: &str, value: &str) -> Value {
    let template = "skill://{skill}/{version}/{name}/{+path}";
    json!({"ref": {"type": "ref/resource", "uri": template}, "argument": {"name": argument, "value": value}})
}

struct Maker<'a> {
    world: &'a Fixtures,
    method: &'static str,
}

impl Maker<'_> {
    fn attack(&self, handle: &Identifier, params: impl Fn(&str) -> Value) -> Attack {
        Attack {
            target: self.method.to_owned(),
            what: handle.what.to_owned(),
            method: self.method,
            foreign: params(&handle.foreign),
            absent: params(&handle.absent),
        }
    }

    /// Every handle, and every text that breaks out, in the place that `params` gives it.
    fn all(&self, params: impl Fn(&str) -> Value) -> Vec<Attack> {
        let with_injection = INJECTION_PAYLOADS.iter().map(|text| Identifier {
            what: "a text that breaks out",
            foreign: text.replace("{}", VICTIM_ONLY),
            absent: text.replace("{}", MISSING),
        });
        let handles = self.world.handles.iter().cloned().chain(with_injection);
        handles.map(|handle| self.attack(&handle, &params)).collect()
    }

    fn with_uri(&self) -> Vec<Attack> {
        let mut attacks = self.all(|text| json!({"uri": text}));
        // As each part of a URI, and as a host, user and query that it may have elsewhere.
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
            attacks.extend(self.all(|text| json!({"name": SHARED, "arguments": {argument: text}})));
        }
        attacks
    }

    /// A cursor of the victim's, for this list and for all others, and whatever else is no cursor.
    fn with_cursor(&self, params: impl Fn(&str) -> Value) -> Vec<Attack> {
        let cursors = self.world.cursors.iter().map(|(_, handle)| handle);
        let mut attacks: Vec<Attack> = cursors.map(|handle| self.attack(handle, &params)).collect();
        attacks.extend(self.all(&params));
        attacks
    }

    fn with_completion(&self) -> Vec<Attack> {
        let mut attacks = self.all(|text| completion("skill", text));
        for argument in ["version", "name", "path"] {
            attacks.extend(self.all(|text| {
                let mut params = completion(argument, "");
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

    /// Whatever it is asked with, a tenant beside the parameters changes nothing.
    fn with_meta(&self, params: &Value) -> Vec<Attack> {
        self.all(|text| {
            let mut params = params.clone();
            if let Some(params) = params.as_object_mut() {
                params.insert("tenant_id".to_owned(), json!(text));
                params.insert("_meta".to_owned(), json!({"tenant": text, "authorization": text}));
            }
            params
        })
    }

    fn with_listening(&self) -> Vec<Attack> {
        self.all(|text| {
            json!({
                "notifications": {"resourcesListChanged": true, "promptsListChanged": true, "resourceSubscriptions": [text]},
                "tenant_id": text,
            })
        })
    }
}
