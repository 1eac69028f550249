-- users/list: Lists a tenant's users with their number of active API keys.
SELECT u.id, u.email, u.name, u.status, u.created_at,
       (SELECT count(*) FROM api_keys k
        WHERE k.tenant_id = $1 AND k.user_id = u.id AND (k.revoked_at IS NULL OR k.revoked_at > now())
          AND (k.expires_at IS NULL OR k.expires_at > now())) AS active_keys
FROM users u
WHERE u.tenant_id = $1
ORDER BY u.email
