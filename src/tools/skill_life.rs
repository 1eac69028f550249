//! What `get_skill` says about the life of a skill: state, owner, review, deprecation, origin of a fork.

use schemars::JsonSchema;
use serde::Serialize;

use super::labels::day;
use crate::answer_size::cut;
use crate::registry::denylist::Denial;
use crate::registry::lifecycle::VersionState;
use crate::registry::management::ManagedSkill;
use crate::registry::reviews::StoredReview;
use crate::registry::versions::VersionSummary;
use crate::tenancy::Principal;

const ARCHIVED: &str = "archived";
const QUARANTINED: &str = "quarantined";
/// Characters of the comment of a review, and of the reasons of administrators and owners.
const MAX_REVIEW_CHARS: usize = 5_000;
const MAX_REASON_CHARS: usize = 2_500;

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Review {
    verdict: String,
    by: String,
    on: String,
    // `person` or `assistant`.
    decided_by: String,
    /// An assistant's verdict does not count where a person must decide.
    counted: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    comment: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Deprecation {
    note: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    successor: Option<String>,
}

// The version that a fork was copied from.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Origin {
    #[serde(skip_serializing_if = "Option::is_none")]
    skill: Option<String>,
    version: String,
    /// Its latest version, if it changed since.
    #[serde(skip_serializing_if = "Option::is_none")]
    newer: Option<String>,
}

#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Life {
    /// Who published it. Absent: imported.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
    // The last one of this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    review: Option<Review>,
    #[serde(skip_serializing_if = "Option::is_none")]
    deprecated: Option<Deprecation>,
    /// If it is a fork.
    #[serde(skip_serializing_if = "Option::is_none")]
    origin: Option<Origin>,
    // Why an administrator denied the content of this version.
    #[serde(skip_serializing_if = "Option::is_none")]
    denied: Option<String>,
    #[serde(skip)]
    is_archived: bool,
    #[serde(skip)]
    has_latest: bool,
}

impl Life {
    /// Other skills are named only if the key may view them. A review's comment is for those who may read drafts.
    pub(super) fn new(
        principal: &Principal,
        skill: ManagedSkill,
        review: Option<StoredReview>,
        shows_comment: bool,
        denied: Option<Denial>,
    ) -> Self {
        let visible = |slug: Option<String>| slug.filter(|slug| principal.can_view_skill(slug));
        let origin = skill.origin.map(|origin| {
            let slug = visible(origin.slug);
            Origin {
                newer: origin.newer.filter(|_| slug.is_some()),
                skill: slug,
                version: origin.version,
            }
        });
        Self {
            owner: skill.owner_email,
            review: review.map(|review| Review {
                verdict: review.verdict,
                by: review.reviewer,
                on: day(review.created_at),
                decided_by: review.decided_by,
                counted: review.counted,
                comment: Some(cut(&review.comment, MAX_REVIEW_CHARS))
                    .filter(|text| shows_comment && !text.is_empty()),
            }),
            deprecated: skill.deprecation.map(|deprecation| Deprecation {
                note: cut(&deprecation.note, MAX_REASON_CHARS),
                successor: visible(deprecation.successor),
            }),
            origin,
            denied: denied.map(|denial| cut(&denial.reason, MAX_REASON_CHARS)),
            is_archived: skill.is_archived,
            has_latest: skill.latest.is_some(),
        }
    }

    pub(super) fn owner(&self) -> Option<&str> {
        self.owner.as_deref()
    }

    /// The state of the shown version; that of the skill if it is archived.
    pub(super) fn state(&self, shown: &str, state: VersionState, history: &[VersionSummary]) -> &'static str {
        if self.is_archived {
            return ARCHIVED;
        }
        let version = history.iter().find(|version| version.version == shown);
        version.map_or(state.as_str(), state_of)
    }

    pub(super) fn next_step(&self, state: &str, is_complete: bool) -> String {
        let deprecation = self.deprecated.as_ref();
        let successor = deprecation.and_then(|deprecation| deprecation.successor.as_ref());
        let step = match (state, successor) {
            ("draft", _) => {
                "Only its author and reviewers see this version. Its author submits it with update_skill."
            }
            ("in_review", _) => "It waits for a review: a reviewer calls review_skill.",
            ("yanked", _) if self.has_latest => "This version was withdrawn: use the latest instead.",
            ("yanked", _) => {
                "This version was withdrawn, and there is no other: look for another skill with search_skills."
            }
            (ARCHIVED, _) => "It is archived: its owner can restore it with update_skill.",
            (QUARANTINED, _) if self.denied.is_some() => {
                "Do not use it: publish a version without the denied content."
            }
            (QUARANTINED, _) => "The scanner found something critical: review_skill shows a reviewer what.",
            (_, Some(successor)) => return format!("It is deprecated: use {successor} instead."),
            (_, None) if is_complete => {
                "Read SKILL.md with `file`, or write all files to disk with install_skill."
            }
            (_, None) => "Read SKILL.md with `file` and check whether it works without the missing files.",
        };
        step.to_owned()
    }
}

/// The state of a version, and whether the scanner's findings forbid to use it.
pub(super) const fn state_of(version: &VersionSummary) -> &'static str {
    if version.quarantined {
        QUARANTINED
    } else {
        version.state.as_str()
    }
}

/// A state to show: `published` is not said.
pub(super) fn unless_published(state: &'static str) -> Option<&'static str> {
    (state != VersionState::Published.as_str()).then_some(state)
}
