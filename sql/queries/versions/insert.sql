-- versions/insert: Stores one immutable version.
INSERT INTO skill_versions (tenant_id, id, skill_id, ordinal, version, digest, front_matter, file_count, total_bytes)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
