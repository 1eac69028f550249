//! From the catalog to segments.

use skill_search::segment::{EncodedSegment, SegmentBuilder};
use skill_search::{Analyzer, Document};

use super::facets::Facets;
use crate::db::{DbError, TenantTx};
use crate::registry::skills::{self, Changed};

/// Number of skills that one statement reads to index them: about two megabytes of text.
pub(super) const BATCH_SIZE: i64 = 200;
/// A segment with a batch of changed skills, and the last revision of them.
pub(super) struct Batch {
    pub(super) revision: i64,
    pub(super) segment: EncodedSegment,
}

/// The changes after a revision, at most [`BATCH_SIZE`]; `None` if there are none.
pub(super) async fn next_batch(tx: &TenantTx, after: i64) -> Result<Option<Batch>, DbError> {
    let changes = skills::changed_since(tx, after, BATCH_SIZE).await?;
    let Some(revision) = changes.last().map(|change| change.revision) else {
        return Ok(None);
    };
    // Tokenizing would block the other calls on this thread.
    let segment = if changes.len() <= 2 {
        encode(&changes)
    } else {
        tokio::task::spawn_blocking(move || encode(&changes))
            .await
            .map_err(|error| DbError::Corrupt(format!("the search index could not be built: {error}")))?
    };
    Ok(Some(Batch { revision, segment }))
}

fn encode(changes: &[Changed]) -> EncodedSegment {
    let mut analyzer = Analyzer::new();
    let mut builder = SegmentBuilder::new();
    for change in changes {
        let id = change.id.as_uuid().as_u128();
        let revision = u64::try_from(change.revision).unwrap_or(0);
        match &change.skill_md {
            Some(bytes) if change.active => {
                // SKILL.md was readable when the version was published. If this version of the program rejects it, the name
                // and the description from the database are still indexed.
                let document = agent_skills::read_document(bytes, &change.slug).ok();
                let (headings, body) = document
                    .map(|document| (document.headings, document.body))
                    .unwrap_or_default();
                let analyzed = analyzer.analyze(&Document {
                    id,
                    name: &change.name,
                    description: &change.description,
                    tags: &change.tags,
                    headings: &headings,
                    body: &body,
                });
                builder.add(analyzed, revision, Facets::encode(change));
            }
            Some(_) | None => builder.add_removed(id, revision),
        }
    }
    builder.finish()
}
