-- signatures/insert: Stores the signature of a version.
INSERT INTO version_signatures (tenant_id, version_id, slug, key_id, signature)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, version_id, slug, key_id) DO NOTHING
