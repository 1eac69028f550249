-- signing_keys/retire: Retires an active key.
UPDATE signing_keys SET retired_at = now()
WHERE tenant_id = $1 AND id = $2 AND retired_at IS NULL
