-- archives/insert: Stores the digest of the archive of a version. Two calls may find it at the same time.
INSERT INTO archive_digests (tenant_id, version_id, digest)
VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, version_id) DO NOTHING
