//! Decides whether a response to the attacker reveals more than the response to the control.

mod normalizer;

use std::collections::BTreeSet;

use serde_json::Value;

use super::attack::Attack;
use super::fixtures::Fixtures;
use super::test_tenant::VICTIM_MINUTES;
use crate::tools::ToolName;
use normalizer::{Normalizer, without_digests};

/// Numbers that are no counts: how long a list may be cached, a request's id, and the limits in a tool's schema.
const NOT_COUNTS: [&str; 3] = ["ttlMs", "id", "maximum"];
/// Length of a response in a finding.
const MAX_EXCERPT_CHARS: usize = 400;

/// The victim's secrets that the attacker has sent. Reports of the attacker's own calls may repeat them.
#[derive(Debug, Default)]
pub struct EchoedSecrets(BTreeSet<String>);

impl EchoedSecrets {
    /// Remembers the secrets that this attack sends.
    pub(super) fn record(&mut self, fixtures: &Fixtures, attack: &Attack) {
        let sent = attack.attacker_params.to_string();
        let secrets = fixtures.secrets.iter();
        self.0
            .extend(secrets.filter(|secret| sent.contains(secret.as_str())).cloned());
    }

    pub(super) fn contains(&self, secret: &str) -> bool {
        self.0.contains(secret)
    }
}

/// Compares the responses to the attacker with those to the control.
pub(super) struct Oracle<'a> {
    fixtures: &'a Fixtures,
    attacker: Normalizer<'a>,
    control: Normalizer<'a>,
}

impl<'a> Oracle<'a> {
    pub(super) fn new(fixtures: &'a Fixtures) -> Self {
        Self {
            fixtures,
            attacker: Normalizer::new(fixtures, &fixtures.attacker, |id| &id.existing),
            control: Normalizer::new(fixtures, &fixtures.control, |id| &id.missing),
        }
    }

    /// Returns what is wrong with the response to the attacker; empty if nothing is.
    pub(super) fn check_response(
        &self,
        attack: &Attack,
        echoed: &EchoedSecrets,
        attacker_response: &Value,
        control_response: &Value,
    ) -> Vec<String> {
        let mut findings = Vec::new();
        let response = attacker_response.to_string();
        let request = attack.attacker_params.to_string();
        let is_echo =
            |secret: &str| request.contains(secret) || (reports_own_calls(attack) && echoed.contains(secret));
        if self.contains_secret(&response, is_echo) || includes_victim_reports(attacker_response) {
            findings.push("the response contains data of the other tenant".to_owned());
        }
        if response.contains("failed to answer")
            || attacker_response.pointer("/error/code") == Some(&Value::from(-32_603))
        {
            findings.push(format!(
                "the request causes an internal error: {}",
                excerpt(attacker_response)
            ));
        }
        let mut found = self.attacker.normalize(attacker_response);
        let mut expected = self.control.normalize(control_response);
        if stores_text(attack) {
            found = without_digests(found);
            expected = without_digests(expected);
        }
        if found != expected {
            findings.push(format!(
                "the response differs from that for a missing identifier: {} instead of {}",
                excerpt(&found),
                excerpt(&expected)
            ));
        }
        findings
    }

    /// Compares two responses about own data: to the attacker before the victim existed, and to the control afterwards.
    pub(super) fn differs_from_baseline(&self, before: &Value, after: &Value) -> Option<String> {
        let before = self.attacker.normalize(before);
        let after = self.control.normalize(after);
        (before != after).then(|| {
            format!(
                "the response about own data changed when another tenant was created: {} instead of {}",
                excerpt(&after),
                excerpt(&before)
            )
        })
    }

    /// Whether a response contains a secret of the victim, except those that may be echoed, or a number that includes the
    /// victim's reports.
    pub(super) fn leaks(&self, response: &Value, may_be_echoed: impl Fn(&str) -> bool) -> bool {
        self.contains_secret(&response.to_string(), may_be_echoed) || includes_victim_reports(response)
    }

    fn contains_secret(&self, text: &str, may_be_echoed: impl Fn(&str) -> bool) -> bool {
        let mut secrets = self.fixtures.secrets.iter();
        secrets.any(|secret| text.contains(secret.as_str()) && !may_be_echoed(secret))
    }
}

/// Whether a number is so large that it must include the victim's reports. All other counts stay far below.
fn includes_victim_reports(response: &Value) -> bool {
    match response {
        Value::Number(number) => number
            .as_u64()
            .is_some_and(|number| number >= VICTIM_MINUTES.unsigned_abs().into()),
        Value::Array(items) => items.iter().any(includes_victim_reports),
        Value::Object(fields) => fields
            .iter()
            .any(|(name, value)| !NOT_COUNTS.contains(&name.as_str()) && includes_victim_reports(value)),
        Value::Null | Value::Bool(_) | Value::String(_) => false,
    }
}

fn excerpt(response: &Value) -> String {
    response.to_string().chars().take(MAX_EXCERPT_CHARS).collect()
}

/// Whether the tool stores files that can contain what was sent, so that their digests differ from the control's.
fn stores_text(attack: &Attack) -> bool {
    [ToolName::PublishSkill, ToolName::ForkSkill]
        .iter()
        .any(|tool| attack.target == tool.as_str())
}

/// Whether the response lists the caller's earlier calls, including the texts that it searched for.
fn reports_own_calls(attack: &Attack) -> bool {
    attack.target == ToolName::UsageReport.as_str()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use jiff::Timestamp;
    use serde_json::json;

    use super::*;
    use crate::ids::TenantId;
    use crate::isolation_probe::test_tenant::{Identifier, TestTenant};
    use crate::tenancy::ApiKey;

    fn fixtures() -> Fixtures {
        let tenant = |slug: &str| {
            let tenant = TenantId::new();
            TestTenant {
                tenant,
                slug: slug.to_owned(),
                key: ApiKey::generate(tenant, &mut rand::rng()),
                install: TenantId::new().to_string(),
                digest: String::new(),
                names: AtomicUsize::new(0),
            }
        };
        Fixtures {
            attacker: tenant("probe-a"),
            control: tenant("probe-b"),
            victim: tenant("probe-c"),
            identifiers: vec![Identifier {
                kind: "a slug",
                existing: "theirs".to_owned(),
                missing: "nobody".to_owned(),
            }],
            cursors: Vec::new(),
            secrets: vec!["xylophone".to_owned()],
            baseline: Vec::new(),
        }
    }

    fn attack() -> Attack {
        Attack {
            target: "get_skill".to_owned(),
            description: "a slug".to_owned(),
            method: "tools/call",
            attacker_params: json!({"skill": "theirs"}),
            control_params: json!({"skill": "nobody"}),
        }
    }

    fn check(fixtures: &Fixtures, attacker_response: &Value, control_response: &Value) -> Vec<String> {
        let oracle = Oracle::new(fixtures);
        oracle.check_response(
            &attack(),
            &EchoedSecrets::default(),
            attacker_response,
            control_response,
        )
    }

    #[test]
    fn equal_messages_about_different_names_are_equal() {
        let existing = json!({"id": 1, "error": {"message": "There is no \"theirs\" in probe-a."}});
        let missing = json!({"id": 9, "error": {"message": "There is no \"nobody\" in probe-b."}});
        assert_eq!(check(&fixtures(), &existing, &missing), Vec::<String>::new());
    }

    #[test]
    fn digests_may_differ_only_where_the_sent_text_is_stored() {
        let of = |target: &str| Attack {
            target: target.to_owned(),
            ..attack()
        };
        let answer = |digest: &str| json!({"result": {"skill": "x", "digest": digest}});
        let fixtures = fixtures();
        let oracle = Oracle::new(&fixtures);
        for (target, differs) in [
            ("publish_skill", false),
            ("fork_skill", false),
            ("get_skill", true),
        ] {
            let found = oracle.check_response(
                &of(target),
                &EchoedSecrets::default(),
                &answer("sha256:a"),
                &answer("sha256:b"),
            );
            assert_eq!(!found.is_empty(), differs, "{target}: {found:?}");
        }
    }

    #[test]
    fn generated_ids_and_timestamps_may_differ() {
        let generated = || json!({"result": {"text": format!("Call it with {} then.", TenantId::new()), "at": Timestamp::now().to_string()}});
        assert_eq!(
            check(&fixtures(), &generated(), &generated()),
            Vec::<String>::new()
        );
    }

    #[test]
    fn different_response_leak_and_internal_error_are_findings() {
        let missing = json!({"error": {"message": "There is no \"nobody\"."}});
        for (existing, expected) in [
            (
                json!({"error": {"message": "You may not see \"theirs\"."}}),
                "differs",
            ),
            (
                json!({"result": {"text": "A xylophone."}}),
                "data of the other tenant",
            ),
            (
                json!({"result": {"minutes_saved": 77_784}}),
                "data of the other tenant",
            ),
            (
                json!({"error": {"code": -32_603, "message": "Oops."}}),
                "internal error",
            ),
        ] {
            let found = check(&fixtures(), &existing, &missing).join("; ");
            assert!(found.contains(expected), "{existing}: {found}");
        }
    }

    #[test]
    fn report_may_repeat_what_its_caller_sent_and_nothing_else() {
        let mut fixtures = fixtures();
        fixtures.secrets.push("zither".to_owned());
        let of = |target: &str, text: &str| Attack {
            target: target.to_owned(),
            attacker_params: json!({"query": text}),
            control_params: json!({"query": text}),
            ..attack()
        };
        let mut echoed = EchoedSecrets::default();
        echoed.record(&fixtures, &of("search_skills", "xylophone"));
        let oracle = Oracle::new(&fixtures);
        for (target, text, leaks) in [
            ("usage_report", "xylophone", false),
            ("usage_report", "zither", true),
            ("get_skill", "xylophone", true),
        ] {
            let response = json!({"result": {"empty_searches": [{"query": text}]}});
            let found = oracle.check_response(&of(target, "nothing"), &echoed, &response, &response);
            assert_eq!(!found.is_empty(), leaks, "{target} {text}: {found:?}");
        }
    }
}
