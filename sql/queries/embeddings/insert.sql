-- embeddings/insert: Stores vectors $7 of model $2 for the versions $5, as far as these are still the latest of skills that searches can find.
INSERT INTO skill_embeddings (tenant_id, version_id, model, dimensions, revision, input_hash, vector)
SELECT $1, given.version_id, $2, $3, $4, given.input_hash, given.vector
FROM unnest($5::uuid[], $6::bytea[], $7::bytea[]) AS given (version_id, input_hash, vector)
WHERE EXISTS (SELECT FROM skills s WHERE s.tenant_id = $1 AND s.latest_version_id = given.version_id AND s.status = 'active')
