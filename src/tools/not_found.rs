//! What a caller may have meant by a slug or version that does not exist.
//!
//! Only skills that the key may view are named, so a skill of another tenant or one that the key must not see gets the same
//! answer as one that does not exist.

use super::ToolError;
use super::error::{LifecycleRefusal, Refusal};
use super::name::ToolName;
use super::tool::CallContext;
use crate::registry::denylist;
use crate::registry::management::ManageError;
use crate::registry::versions;

/// The number of slugs or versions that a refusal names.
const MAX_NAMED: usize = 3;
const MAX_VERSIONS: i64 = 10;
/// Slugs that differ in so many characters, of a slug of this length, are near.
const CHARS_PER_TYPO: usize = 5;

/// `None` for `latest`, which every tool takes as the latest version.
pub(crate) fn requested_version(version: Option<&str>) -> Option<&str> {
    version.filter(|version| !version.trim().eq_ignore_ascii_case("latest"))
}

/// The refusal of a skill that was not found, or not in this version.
///
/// # Errors
/// When the database is unavailable or rejects a statement.
pub(crate) async fn refusal(
    cx: &CallContext<'_>,
    slug: &str,
    version: Option<&str>,
) -> Result<Refusal, ToolError> {
    // No version has a NUL character, and the database takes none.
    let is_possible = !version.is_some_and(|version| version.contains('\0'));
    if is_possible
        && let Some(denied) = denylist::of_requested(cx.tx, slug, version).await?
        && cx.principal.can_view_skill(&denied.slug)
    {
        return Ok(Refusal::Denied {
            slug: denied.slug,
            version: denied.version,
            reason: denied.denial.reason,
        });
    }
    if version.is_some() && cx.principal.can_view_skill(slug) {
        let found = versions::list(cx.tx, slug, MAX_VERSIONS, cx.caller().viewer()).await?;
        if let Some(version) = version.filter(|_| !found.is_empty()) {
            return Ok(Refusal::UnknownVersion {
                slug: slug.to_owned(),
                version: version.to_owned(),
                versions: found.into_iter().map(|found| found.version).collect(),
            });
        }
    }
    Ok(Refusal::UnknownSkill {
        slug: slug.to_owned(),
        near: near_slugs(cx, slug).await?,
    })
}

/// The refusal of a change. A key learns nothing of a skill that it may not view, also if the change itself is invalid.
pub(super) async fn change(
    cx: &CallContext<'_>,
    error: ManageError,
    slug: &str,
    version: Option<&str>,
) -> ToolError {
    let unknown_version = match error {
        ManageError::Db(error) => return error.into(),
        ManageError::UnknownSkill => version.map(str::to_owned),
        ManageError::UnknownVersion(version) => Some(version),
        error if cx.principal.can_view_skill(slug) => return LifecycleRefusal::manage(error, slug),
        ManageError::NotPermitted(_)
        | ManageError::WrongState { .. }
        | ManageError::Taken(_)
        | ManageError::Denied(_)
        | ManageError::Signing(_)
        | ManageError::UnknownSuccessor(_)
        | ManageError::UnknownUser(_) => version.map(str::to_owned),
    };
    match refusal(cx, slug, unknown_version.as_deref()).await {
        Ok(refusal) => refusal.into(),
        Err(error) => error,
    }
}

/// The slugs nearest to this one. Empty for a key that may not search.
async fn near_slugs(cx: &CallContext<'_>, slug: &str) -> Result<Vec<String>, ToolError> {
    if !ToolName::SearchSkills.allowed_for(cx.principal) {
        return Ok(Vec::new());
    }
    let wanted = slug.trim().to_lowercase().replace(['_', ' '], "-");
    let catalog = cx
        .search
        .current(cx.tx, Some(cx.principal.catalog_revision))
        .await?;
    let mut near: Vec<(usize, &str)> = catalog
        .in_order(None)
        .map(|(_, facets)| facets.slug)
        .filter(|slug| cx.principal.can_view_skill(slug))
        .filter_map(|slug| Some((distance(&wanted, slug)?, slug)))
        .collect();
    near.sort_unstable();
    Ok(near
        .into_iter()
        .take(MAX_NAMED)
        .map(|(_, slug)| slug.to_owned())
        .collect())
}

/// How far a slug is from the wanted one; `None` if they have nothing to do with each other.
fn distance(wanted: &str, slug: &str) -> Option<usize> {
    let most = (wanted.len() / CHARS_PER_TYPO).max(1);
    if wanted.len().abs_diff(slug.len()) <= most {
        let typos = strsim::osa_distance(wanted, slug);
        if typos <= most {
            return Some(typos);
        }
    }
    // `pdf` for `fill-pdf`, `fill-pdf-forms` for `fill-pdf`.
    let has_all = |outer: &str, inner: &str| {
        inner
            .split('-')
            .all(|word| outer.split('-').any(|other| other == word))
    };
    let is_related = !wanted.is_empty() && (has_all(slug, wanted) || has_all(wanted, slug));
    is_related.then(|| most + wanted.len().abs_diff(slug.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latest_is_no_version_label() {
        assert_eq!(requested_version(Some("latest")), None);
        assert_eq!(requested_version(Some(" Latest ")), None);
        assert_eq!(requested_version(Some("1.2")), Some("1.2"));
        assert_eq!(requested_version(None), None);
    }

    #[test]
    fn only_related_slugs_are_near() {
        for (wanted, slug) in [
            ("fil-pdf", "fill-pdf"),
            ("fill-pfd", "fill-pdf"),
            ("pdf", "fill-pdf"),
            ("fill-pdf-forms", "fill-pdf"),
        ] {
            assert!(distance(wanted, slug).is_some(), "{wanted} {slug}");
        }
        for (wanted, slug) in [
            ("only-theirs", "only-mine"),
            ("absent", "shared"),
            ("a", "bcd"),
            ("", "pdf"),
        ] {
            assert_eq!(distance(wanted, slug), None, "{wanted} {slug}");
        }
        assert!(distance("fil-pdf", "fill-pdf") < distance("fil-pdf", "fil-pdf-forms"));
    }
}
