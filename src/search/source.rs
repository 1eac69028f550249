//! From the catalog to segments.

use serde_json::Value;
use skill_search::segment::{EncodedSegment, SegmentBuilder};
use skill_search::{Analyzer, Document};

use super::compatibility::only_assistants;
use super::facets::Facets;
use crate::db::{DbError, TenantTx};
use crate::registry::skills::{self, Changed};

/// Number of skills that one statement reads to index them: about two megabytes of text.
pub(super) const BATCH_SIZE: i64 = 200;
const COMPATIBILITY: &str = "compatibility";

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
                let assistants = document.as_ref().map_or_else(Vec::new, |document| {
                    let compatibility = document.front_matter.get(COMPATIBILITY).and_then(Value::as_str);
                    only_assistants(compatibility.unwrap_or_default())
                });
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
                builder.add(analyzed, revision, Facets::encode(change, &assistants));
            }
            Some(_) | None => builder.add_removed(id, revision),
        }
    }
    builder.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{Digest, SkillId};
    use crate::search::segments::FORMAT;
    use jiff::Timestamp;
    use uuid::Uuid;

    /// Texts whose analysis uses stemmers, segmentation and folding.
    const BODIES: [&str; 6] = [
        "# Tide tables\n\nReads the tide tables of several harbours, and computes when a ship may leave.",
        "# Gezeiten\n\nLiest die Gezeitentabellen der Häfen und berechnet, wann ein großes Schiff auslaufen darf.",
        "# Marées\n\nLit les tables des marées et calcule l'heure à laquelle les navires peuvent partir.",
        "# 潮汐表\n\n读取港口的潮汐表，计算船舶可以离港的时间。",
        "# 潮汐表\n\n港の潮汐表を読み、船が出港できる時刻を計算します。",
        "# 조석표\n\n항구의 조석표를 읽고 배가 출항할 수 있는 시간을 계산합니다.",
    ];

    /// So many words that the body has a signature.
    fn more(number: u8) -> String {
        let words = if number == 0 { 0..100 } else { 0..0 };
        words.map(|word| format!("term{word} ")).collect()
    }

    fn sample() -> Vec<Changed> {
        (0_u8..)
            .zip(BODIES)
            .map(|(number, body)| Changed {
                id: SkillId::from_uuid(Uuid::from_u128(number.into())),
                revision: i64::from(number) + 1,
                slug: format!("tide-tables-{number}"),
                name: format!("Tide-Tables_{number}"),
                description: body.lines().last().unwrap_or_default().to_owned(),
                category: Some("Sea".to_owned()),
                author: Some("Ada".to_owned()),
                tags: vec!["tides".to_owned(), "ShipNames".to_owned()],
                updated_at: Timestamp::UNIX_EPOCH,
                skill_md: Some(
                    format!(
                        "---\nname: x\ndescription: y\ncompatibility: Codex\n---\n\n{body}\n{}",
                        more(number)
                    )
                    .into_bytes(),
                ),
                active: number != 2,
            })
            .collect()
    }

    /// If this fails, stored segments say something else than new ones: increment [`FORMAT`], then write the new digest here.
    #[test]
    fn bytes_of_a_segment_belong_to_the_format() {
        let segment = encode(&sample());
        let mut bytes = Vec::new();
        for part in [
            &segment.documents,
            &segment.directory,
            &segment.vocabulary,
            &segment.document_words,
        ]
        .into_iter()
        .chain(&segment.blocks)
        {
            bytes.extend_from_slice(&part.len().to_le_bytes());
            bytes.extend_from_slice(part);
        }
        assert_eq!(
            (FORMAT, Digest::of(&bytes).to_string().as_str()),
            (
                3,
                "sha256:3172f8e82ba0f52c1b1583ca9fc1190db4c8d7fc05c67749b07a3a7ba61aa1f0"
            )
        );
    }
}
