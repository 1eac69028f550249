-- signing_keys/insert: Adds a public key.
INSERT INTO signing_keys (tenant_id, id, public_key, created_by)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, id) DO NOTHING
