-- denied/insert: Adds a digest to the denylist.
INSERT INTO denied_digests (tenant_id, digest, reason, created_by)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, digest) DO NOTHING
