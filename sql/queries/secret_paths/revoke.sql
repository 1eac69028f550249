-- secret_paths/revoke: Revokes a secret path now.
UPDATE secret_paths SET revoked_at = now()
WHERE tenant_id = $1 AND id = $2 AND revoked_at IS NULL
