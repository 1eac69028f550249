-- versions/insert: Stores one immutable version.
INSERT INTO skill_versions (tenant_id, id, skill_id, ordinal, version, digest, front_matter, file_count, total_bytes, status,
                            published_at, quarantined, change_note, created_by)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)
