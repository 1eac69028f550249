-- embeddings/delete: Deletes the vectors of model $2 of the versions $3.
DELETE FROM skill_embeddings e
WHERE e.tenant_id = $1 AND e.model = $2 AND e.version_id = ANY($3)
