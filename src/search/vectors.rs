//! The vectors of one tenant's skills, as one process keeps them.

use skill_embeddings::{DocumentVectors, ModelId, QuantizedVector};
use uuid::Uuid;

use crate::db::{DbError, TenantTx};
use crate::ids::SkillId;
use crate::sql;

/// The vectors of one tenant's skills, of one model.
pub(super) struct TenantVectors {
    /// The revision of the tenant's catalog up to which they are current.
    catalog_revision: i64,
    /// The revision of the tenant's embeddings up to which they are current.
    embeddings_revision: i64,
    pub(super) vectors: DocumentVectors<SkillId>,
}

impl Default for TenantVectors {
    fn default() -> Self {
        Self {
            catalog_revision: -1,
            embeddings_revision: -1,
            vectors: DocumentVectors::new(0),
        }
    }
}

/// A skill that changed since the last update.
pub(super) struct ChangedVector {
    skill: SkillId,
    catalog_revision: i64,
    embeddings_revision: Option<i64>,
    /// `None` if the skill has no vectors, or searches may not find it.
    vectors: Option<Vec<u8>>,
}

impl TenantVectors {
    /// Reads what changed since the last update, in one statement.
    pub(super) async fn changes(
        &self,
        tx: &TenantTx,
        model: &ModelId,
    ) -> Result<Vec<ChangedVector>, DbError> {
        let rows = tx
            .query(
                sql!("embeddings/changed.sql"),
                &[
                    tx.tenant().as_uuid(),
                    &self.catalog_revision,
                    &self.embeddings_revision,
                    &model.as_str(),
                ],
            )
            .await?;
        rows.iter()
            .map(|row| {
                Ok(ChangedVector {
                    skill: SkillId::from_uuid(row.try_get::<_, Uuid>("id")?),
                    catalog_revision: row.try_get("catalog_revision")?,
                    embeddings_revision: row.try_get("embeddings_revision")?,
                    vectors: row.try_get("vector")?,
                })
            })
            .collect()
    }

    /// Applies what [`Self::changes`] has read. Vectors of another number of dimensions, which the model once had, are left out.
    pub(super) fn apply(&mut self, changes: Vec<ChangedVector>, dimensions: usize) {
        if self.vectors.dimensions() != dimensions {
            self.vectors = DocumentVectors::new(dimensions);
        }
        for change in changes {
            // Bytes that are no vectors of this model's dimensions are as good as none.
            let list = |bytes: &[u8]| QuantizedVector::list_from_bytes(bytes, dimensions).ok();
            let list = change.vectors.as_deref().and_then(list).unwrap_or_default();
            self.vectors.remove(change.skill);
            if self.vectors.upsert(change.skill, &list).is_err() {
                tracing::warn!(skill = %change.skill, "stored vectors cannot be used; embed the skills again");
            }
            self.catalog_revision = self.catalog_revision.max(change.catalog_revision);
            let stored_at = change.embeddings_revision.unwrap_or(-1);
            self.embeddings_revision = self.embeddings_revision.max(stored_at);
        }
    }
}
