-- secret_paths/insert: Stores a new secret path for $8 seconds; of the secret only the hash is stored.
INSERT INTO secret_paths (tenant_id, id, api_key_id, name, secret_hash, only_skills, created_by, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, now(), now() + make_interval(secs => $8))
RETURNING expires_at
