-- api_keys/replace: Records the replacement of an API key, and revokes the key after a grace period of $4 seconds.
UPDATE api_keys
SET replaced_by = $3, revoked_at = least(revoked_at, now() + make_interval(secs => $4))
WHERE tenant_id = $1 AND id = $2
