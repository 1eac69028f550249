-- api_keys/get_for_update: Reads one API key and locks it until the end of the transaction, so that it is rotated or revoked only once.
SELECT k.id, k.user_id, k.name, k.scopes, k.only_skills, k.only_tools, k.expires_at, k.calls_per_minute, k.calls_per_month,
       (k.revoked_at IS NOT NULL AND k.revoked_at <= now()) AS revoked,
       (k.expires_at IS NOT NULL AND k.expires_at <= now()) AS expired,
       (SELECT u.status <> 'active' FROM users u WHERE u.tenant_id = $1 AND u.id = k.user_id) AS suspended,
       k.replaced_by, least(k.expires_at, k.revoked_at) AS ends
FROM api_keys k
WHERE k.tenant_id = $1 AND k.id = $2
FOR UPDATE
