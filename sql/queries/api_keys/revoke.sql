-- api_keys/revoke: Revokes an API key now.
UPDATE api_keys SET revoked_at = now()
WHERE tenant_id = $1 AND id = $2 AND (revoked_at IS NULL OR revoked_at > now())
