//! The argument `version` where it may be a range, such as `^1.2`.

use agent_skills::{SkillVersion, VersionReq};

use super::ToolError;
use super::not_found::{self, requested_version};
use super::tool::CallContext;
use crate::registry::caller::Viewer;
use crate::registry::versions;

/// Versions of a skill among which a range chooses, newest first.
const MAX_VERSIONS: i64 = 1000;

/// The label of the version that is asked for; `None` for the latest.
///
/// A range chooses the highest version that it includes and that may be installed. A text that is neither a version nor a
/// range is taken as a label, so that the refusal names the labels that there are.
///
/// # Errors
/// If no version is in the range.
pub(super) async fn resolve_version(
    cx: &CallContext<'_>,
    slug: &str,
    version: Option<&str>,
) -> Result<Option<String>, ToolError> {
    let Some(text) = requested_version(version).map(str::trim) else {
        return Ok(None);
    };
    let range: VersionReq = match text.parse() {
        Ok(range) if text.parse::<SkillVersion>().is_err() => range,
        Ok(_) | Err(_) => return Ok(Some(text.to_owned())),
    };
    let listed = versions::list(cx.tx, slug, MAX_VERSIONS, Viewer::PUBLISHED).await?;
    // Oldest first: of equal versions, such as 1.0 and 1.0+2, `max` returns the last.
    let chosen = listed
        .into_iter()
        .rev()
        .filter(|listed| !listed.is_yanked() && !listed.quarantined)
        .filter_map(|listed| listed.version.parse::<SkillVersion>().ok())
        .filter(|version| range.matches(version))
        .max();
    match chosen {
        Some(version) => Ok(Some(version.as_str().to_owned())),
        None => Err(not_found::refusal(cx, slug, Some(text)).await?.into()),
    }
}
