//! The vectors of one tenant's skills, as one process keeps them.

use skill_embeddings::{Int8Vectors, ModelId, QuantizedVector};
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
    pub(super) vectors: Int8Vectors<SkillId>,
}

impl Default for TenantVectors {
    fn default() -> Self {
        Self {
            catalog_revision: -1,
            embeddings_revision: -1,
            vectors: Int8Vectors::new(0),
        }
    }
}

/// A skill that changed since the last update.
pub(super) struct ChangedVector {
    skill: SkillId,
    catalog_revision: i64,
    embeddings_revision: Option<i64>,
    /// `None` if the skill has no vector, or searches may not find it.
    vector: Option<Vec<u8>>,
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
                    vector: row.try_get("vector")?,
                })
            })
            .collect()
    }

    /// Applies what [`Self::changes`] has read. Vectors of another number of dimensions, which the model once had, are left out.
    pub(super) fn apply(&mut self, changes: Vec<ChangedVector>, dimensions: usize) -> Result<(), DbError> {
        if self.vectors.dimensions() != dimensions {
            self.vectors = Int8Vectors::new(dimensions);
        }
        for change in changes {
            let stored = change.vector.as_deref().map(QuantizedVector::from_bytes);
            let vector = stored
                .transpose()
                .map_err(|error| DbError::Corrupt(error.to_string()))?;
            let is_kept = vector.is_some_and(|vector| self.vectors.upsert(change.skill, &vector).is_ok());
            if !is_kept {
                self.vectors.remove(change.skill);
            }
            self.catalog_revision = self.catalog_revision.max(change.catalog_revision);
            let stored_at = change.embeddings_revision.unwrap_or(-1);
            self.embeddings_revision = self.embeddings_revision.max(stored_at);
        }
        Ok(())
    }
}
