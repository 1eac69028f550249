//! Calls of reviewers.

use rand::RngExt as _;
use serde_json::{Value, json};
use skillkeep::tools::ToolName;

use super::plan::{Call, Expected, call, changes, fields, refused};
use super::skill::{Caller, Version};
use super::state::Tenant;

#[derive(Debug, Clone, Copy)]
struct Verdict {
    approves: bool,
    /// Whether the verdict counts in this tenant.
    counts: bool,
    overrides: bool,
}

impl Tenant {
    pub(super) fn review_skill(&mut self, caller: Caller) -> Call {
        let slug = self.random_skill();
        let label = self.random_label(&slug);
        let mut arguments = json!({"skill": slug});
        if let Some(label) = &label {
            arguments["version"] = json!(label);
        }
        let verdict = (!self.one_in(4)).then(|| self.random_verdict(&mut arguments));
        let expected = self.reviewed(caller, &slug, label.as_deref(), verdict);
        call(ToolName::ReviewSkill, &arguments, expected)
    }

    fn random_verdict(&mut self, arguments: &mut Value) -> Verdict {
        let approves = !self.one_in(3);
        let by_assistant = self.one_in(4);
        let overrides = self.one_in(2);
        arguments["verdict"] = json!(if approves { "approve" } else { "request_changes" });
        arguments["decided_by"] = json!(if by_assistant { "assistant" } else { "person" });
        arguments["comment"] = json!("As the model says.");
        arguments["clarity"] = json!(self.random.random_range(1..=10));
        if overrides {
            arguments["override_findings"] = json!("The model allows it.");
        }
        Verdict {
            approves,
            counts: !by_assistant || self.assistants_count,
            overrides,
        }
    }

    fn reviewed(
        &self,
        caller: Caller,
        slug: &str,
        label: Option<&str>,
        verdict: Option<Verdict>,
    ) -> Expected {
        let key = match self.permitted(caller, slug, |skill| skill.shows_unpublished_to(caller)) {
            Ok(key) => key,
            Err(code) => return refused(code),
        };
        let skill = &self.skills[&key];
        let waiting = skill
            .versions
            .iter()
            .rposition(|version| version.state == "in_review");
        let chosen = match label {
            Some(label) => skill.with_label(label),
            None => waiting.or(skill.versions.len().checked_sub(1)),
        };
        let Some(number) = chosen else {
            return refused("not_found");
        };
        let version = &skill.versions[number];
        let Some(verdict) = verdict else {
            return fields(vec![
                ("skill", json!(skill.slug)),
                ("version", json!(version.label)),
                ("state", json!(version.state)),
                ("quarantined", json!(version.is_quarantined)),
            ]);
        };
        if skill.is_owned_by(caller) || !caller.is_reviewer {
            return refused("own_version");
        }
        if version.author == Some(caller.user) {
            return refused("own_version");
        }
        self.decided(key, number, version, verdict)
    }

    fn decided(&self, key: String, number: usize, version: &Version, verdict: Verdict) -> Expected {
        if version.state == "draft" || version.state == "yanked" {
            return refused("wrong_state");
        }
        let releases = verdict.approves && version.is_quarantined;
        if releases && !verdict.overrides {
            return refused("quarantined");
        }
        if releases && !verdict.counts {
            return refused("not_permitted");
        }
        let state = match (version.state, verdict.approves) {
            ("in_review", true) if verdict.counts => "published",
            ("in_review", false) if verdict.counts => "draft",
            (state, _) => state,
        };
        let expected = vec![
            ("version", json!(version.label)),
            ("state", json!(state)),
            ("quarantined", json!(version.is_quarantined && !releases)),
            ("counted", json!(verdict.counts)),
        ];
        let text = releases.then(|| version.skill_md.clone());
        changes(expected, move |tenant| {
            tenant.audit("skill.review", 1);
            if let Some(text) = text {
                tenant.audit("scan.override", 1);
                tenant.release(text);
            }
            let skill = tenant.skill_mut(&key);
            let version = &mut skill.versions[number];
            version.reviews += 1;
            let is_change = version.state != state;
            version.set_state(state);
            if is_change {
                skill.refresh();
            }
        })
    }

    /// Allows the files of a version, which other versions may have too.
    fn release(&mut self, skill_md: String) {
        for skill in self.skills.values_mut() {
            let mut is_change = false;
            for version in &mut skill.versions {
                let is_same = version.skill_md == skill_md;
                is_change |= is_same && version.is_quarantined;
                version.is_quarantined &= !is_same;
            }
            if is_change {
                skill.refresh();
            }
        }
        self.overridden.insert(skill_md);
    }
}
