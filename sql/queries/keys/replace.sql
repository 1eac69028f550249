-- keys/replace: names a key's successor and sets the moment, a grace in seconds from now, at which the old one ends.
UPDATE api_keys
SET replaced_by = $3, revoked_at = least(revoked_at, now() + make_interval(secs => $4))
WHERE tenant_id = $1 AND id = $2
