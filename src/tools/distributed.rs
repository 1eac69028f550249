//! What the organisation wants its users to have, and a machine lacks.

use schemars::JsonSchema;
use serde::Serialize;

use super::ToolError;
use super::tool::CallContext;
use crate::answer_size::keep_first;
use crate::registry::distributions::{self, Requirement};

/// Distributed skills that an answer lists, and their characters.
const MAX_DISTRIBUTED: usize = 200;
const MAX_CHARS: usize = 12_000;

/// A skill that the organisation distributes.
#[derive(Debug, Serialize, JsonSchema)]
pub(super) struct Distributed {
    skill: String,
    version: String,
}

/// A skill on the caller's disk.
pub(super) struct Here<'a> {
    /// As the caller names it, and its present slug if that is another.
    pub(super) slugs: [Option<&'a str>; 2],
    pub(super) version: Option<&'a str>,
    pub(super) is_outdated: bool,
}

/// The distributions for the caller that they do not have, at most 200.
pub(super) async fn missing_distributions(
    cx: &CallContext<'_>,
    here: &[Here<'_>],
) -> Result<Vec<Distributed>, ToolError> {
    let wanted = distributions::for_user(cx.tx, cx.principal.user).await?;
    let missing = wanted.into_iter().filter_map(|(slug, requirement)| {
        let slug = slug.as_str();
        if !cx.principal.can_view_skill(slug) {
            return None;
        }
        let here = here.iter().find(|here| here.slugs.contains(&Some(slug)));
        let version = match (&requirement, here) {
            (Requirement::Exactly(version), Some(here)) if here.version == Some(version.as_str()) => {
                return None;
            }
            (Requirement::Latest, Some(here)) if !here.is_outdated => return None,
            (Requirement::Exactly(version), _) => version.as_str().to_owned(),
            (Requirement::Latest, _) => "latest".to_owned(),
        };
        Some(Distributed {
            skill: slug.to_owned(),
            version,
        })
    });
    let mut missing: Vec<Distributed> = missing.take(MAX_DISTRIBUTED).collect();
    keep_first(&mut missing, MAX_CHARS);
    Ok(missing)
}
