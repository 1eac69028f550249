//! The latest version of a skill: the highest published release that may be installed.

use agent_skills::SkillVersion;

use super::display_metadata::DisplayMetadata;
use super::lifecycle::VersionState;
use super::revision::next_revision;
use super::versions::{self, VersionRow};
use crate::db::{DbError, Param, TenantTx};
use crate::ids::{SkillId, VersionId};
use crate::sql;

/// The latest of these versions: the highest published release that is not quarantined, or the highest pre-release if there is
/// no release. Of equal versions, the last one that was stored.
pub(super) fn latest_of(versions: &[VersionRow]) -> Option<&VersionRow> {
    versions
        .iter()
        .filter(|version| version.state == VersionState::Published && !version.quarantined)
        .max_by_key(|version| {
            // Labels from before versions were checked may be no versions. They are lower than any version.
            let parsed = version.version.parse::<SkillVersion>().ok();
            let is_release = !parsed.as_ref().is_some_and(SkillVersion::is_prerelease);
            (is_release, parsed, version.ordinal)
        })
}

/// Updates the latest version of a skill after one of its versions changed its state. Returns its id.
///
/// The caller must hold the lock of [`next_revision`].
pub(super) async fn refresh(tx: &TenantTx, skill: SkillId) -> Result<Option<VersionId>, DbError> {
    let versions = versions::states(tx, &[skill]).await?;
    let Some(latest) = latest_of(&versions) else {
        let revision = next_revision(tx).await?;
        tx.execute_one(
            sql!("skills/clear_latest.sql"),
            &[tx.tenant().as_uuid(), skill.as_uuid(), &revision],
        )
        .await?;
        return Ok(None);
    };
    let display = stored_metadata(tx, latest.id).await?;
    // Each changed skill has a revision of its own: the search index reads them in order.
    let revision = next_revision(tx).await?;
    set_latest(tx, skill, Some(latest.id), &display, revision).await?;
    Ok(Some(latest.id))
}

/// The metadata of a stored version, read from its `SKILL.md` again.
async fn stored_metadata(tx: &TenantTx, version: VersionId) -> Result<DisplayMetadata, DbError> {
    let row = tx
        .query_one(
            sql!("versions/skill_md.sql"),
            &[tx.tenant().as_uuid(), version.as_uuid()],
        )
        .await?;
    let (slug, skill_md): (String, Vec<u8>) = (row.try_get("slug")?, row.try_get("bytes")?);
    let document = agent_skills::read_document(&skill_md, &slug)
        .map_err(|error| DbError::Corrupt(format!("a stored SKILL.md cannot be read: {error}")))?;
    Ok(DisplayMetadata::new(&document, &[]))
}

/// Updates a skill's metadata, and its latest version: `None` if no version is published.
pub(super) async fn set_latest(
    tx: &TenantTx,
    skill: SkillId,
    version: Option<VersionId>,
    display: &DisplayMetadata,
    revision: i64,
) -> Result<(), DbError> {
    let tenant = tx.tenant();
    let version = version.map(|version| *version.as_uuid());
    let mut params: Vec<Param<'_>> = vec![tenant.as_uuid(), skill.as_uuid(), &version];
    params.extend(display.metadata.params());
    let rest: [Param<'_>; 2] = [&display.notes, &revision];
    params.extend(rest);
    tx.execute_one(sql!("skills/set_latest.sql"), &params).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Digest;

    fn version(ordinal: i32, label: &str) -> VersionRow {
        VersionRow {
            id: VersionId::new(),
            skill: SkillId::new(),
            ordinal,
            version: label.to_owned(),
            digest: Digest::of(label.as_bytes()),
            state: VersionState::Published,
            quarantined: false,
            author: None,
            yank_reason: None,
            was_published: true,
        }
    }

    fn latest(labels: &[&str]) -> String {
        let versions: Vec<VersionRow> = (1..)
            .zip(labels)
            .map(|(ordinal, label)| version(ordinal, label))
            .collect();
        latest_of(&versions).unwrap().version.clone()
    }

    #[test]
    fn latest_is_the_highest_release() {
        assert_eq!(latest(&["1.9", "1.10", "1.9.1"]), "1.10");
        assert_eq!(latest(&["1.0.0", "2.0.0-beta.1"]), "1.0.0");
        assert_eq!(latest(&["2.0.0-beta.2", "2.0.0-beta.10"]), "2.0.0-beta.10");
        assert_eq!(latest(&["1.9", "1.9+2"]), "1.9+2");
        assert_eq!(latest(&["latest build!", "0.1"]), "0.1");
        assert_eq!(latest(&["9", "10"]), "10");
    }

    #[test]
    fn yanked_quarantined_and_unpublished_versions_do_not_count() {
        let mut versions = vec![version(1, "1"), version(2, "2"), version(3, "3"), version(4, "4")];
        versions[1].state = VersionState::Yanked;
        versions[2].quarantined = true;
        versions[3].state = VersionState::InReview;
        assert_eq!(latest_of(&versions).unwrap().version, "1");
        versions[0].state = VersionState::Draft;
        assert!(latest_of(&versions).is_none());
    }
}
