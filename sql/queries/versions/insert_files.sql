-- versions/insert_files: Stores the manifest of a version.
INSERT INTO skill_files (tenant_id, version_id, path, digest, size, mode)
SELECT $1, $2, new.path, new.digest, new.size, new.mode
FROM unnest($3::text[], $4::bytea[], $5::bigint[], $6::text[]) AS new (path, digest, size, mode)
