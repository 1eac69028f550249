-- api_keys/insert: Stores a new API key's hash, scopes and limits; the key itself is never stored.
INSERT INTO api_keys (tenant_id, id, user_id, name, key_hash, scopes, only_skills, only_tools, expires_at,
                      calls_per_minute, calls_per_month)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)
