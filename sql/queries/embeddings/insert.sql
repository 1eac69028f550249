-- embeddings/insert: Stores vectors $7 of model $2 for the versions $5, whose inputs have the hashes $6.
INSERT INTO skill_embeddings (tenant_id, version_id, model, dimensions, revision, input_hash, vector)
SELECT $1, given.version_id, $2, $3, $4, given.input_hash, given.vector
FROM unnest($5::uuid[], $6::bytea[], $7::bytea[]) AS given (version_id, input_hash, vector)
