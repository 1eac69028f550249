//! Version labels: which one a new version gets, and whether its files are stored already.

use agent_skills::SkillVersion;

use super::placement::Target;
use super::{NewVersion, Placement, PublishError, PublishOutcome, StoredVersion};
use crate::ids::Digest;
use crate::registry::latest::latest_of;
use crate::registry::lifecycle::VersionState;
use crate::registry::versions::VersionRow;

/// The label that the author asks for: the argument, or else the version in the front matter.
///
/// # Errors
/// [`PublishError::Version`] for a text that is no version.
pub(super) fn requested(new: &NewVersion<'_>) -> Result<Option<SkillVersion>, PublishError> {
    if let Some(version) = &new.version {
        return Ok(Some(version.clone()));
    }
    match new.document.version.as_deref().map(str::trim) {
        None | Some("") => Ok(None),
        Some(text) => Ok(Some(text.parse()?)),
    }
}

/// A version with the same files, which is stored already.
pub(super) enum Unchanged {
    AsStored(StoredVersion),
    /// A draft that is now to be published or reviewed.
    DraftToSubmit(StoredVersion),
}

/// The version of the target with the same files.
pub(super) fn unchanged(
    target: &Target,
    versions: &[VersionRow],
    digest: Digest,
    new: &NewVersion<'_>,
) -> Option<Unchanged> {
    let Target::Existing(skill) = target else {
        return None;
    };
    let version = match new.placement {
        // A source without versions that returns to an earlier state is followed.
        Placement::Source(_) if !new.names_a_version() => {
            versions.last().filter(|version| version.digest == digest)?
        }
        Placement::Source(_) | Placement::Slug(_) => {
            versions.iter().rev().find(|version| version.digest == digest)?
        }
    };
    let stored = StoredVersion {
        outcome: PublishOutcome::Unchanged,
        skill: skill.id,
        version_id: version.id,
        slug: skill.slug.clone(),
        version: version.version.clone(),
        digest,
        state: version.state,
        quarantined: version.quarantined,
        is_latest: latest_of(versions).is_some_and(|latest| latest.id == version.id),
    };
    Some(if version.state == VersionState::Draft && !new.draft {
        Unchanged::DraftToSubmit(stored)
    } else {
        Unchanged::AsStored(stored)
    })
}

/// The label of a new version.
///
/// # Errors
/// [`PublishError::VersionTaken`] if another version has the label, or an equal one such as `1.0` and `1.0.0`. Imports append
/// a number instead, because a mirror has to follow its source.
pub(super) fn label(
    target: &Target,
    versions: &[VersionRow],
    requested: Option<SkillVersion>,
    new: &NewVersion<'_>,
) -> Result<String, PublishError> {
    let Some(requested) = requested else {
        return Ok(counted(versions));
    };
    let taken = versions.iter().find(|version| {
        version.version == requested.as_str()
            || version
                .version
                .parse::<SkillVersion>()
                .is_ok_and(|version| version == requested)
    });
    match (taken, new.placement) {
        (None, _) => Ok(requested.to_string()),
        (Some(taken), Placement::Slug(slug)) => Err(PublishError::VersionTaken {
            slug: match target {
                Target::Existing(skill) => skill.slug.clone(),
                Target::New(_) => slug.to_string(),
            },
            version: taken.version.clone(),
        }),
        (Some(_), Placement::Source(_)) => {
            let ordinal = versions.last().map_or(0, |version| version.ordinal) + 1;
            let label = requested.as_str();
            let separator = if label.contains('+') { '.' } else { '+' };
            // A label has at most 64 characters, all of them ASCII.
            let label: String = label.chars().take(SkillVersion::MAX_LEN - 12).collect();
            Ok(format!("{label}{separator}{ordinal}"))
        }
    }
}

/// The next number: higher than the first number of every version, so that it is the latest.
fn counted(versions: &[VersionRow]) -> String {
    let highest = versions
        .iter()
        .filter_map(|version| {
            let number = version
                .version
                .trim_start_matches('v')
                .split(|c: char| !c.is_ascii_digit())
                .next()?;
            number.parse::<u32>().ok()
        })
        .max()
        .unwrap_or(0);
    let ordinals = versions.last().map_or(0, |version| version.ordinal);
    let next = highest
        .max(u32::try_from(ordinals).unwrap_or(0))
        .saturating_add(1);
    SkillVersion::counted(next).to_string()
}
