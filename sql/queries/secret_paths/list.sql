-- secret_paths/list: Lists a tenant's secret paths with their keys, newest first.
SELECT p.id, p.name, p.api_key_id, k.name AS api_key_name, p.only_skills, p.created_by, p.created_at, p.expires_at, p.revoked_at,
       CASE WHEN p.revoked_at <= now() THEN 'revoked'
            WHEN p.expires_at <= now() THEN 'expired'
            WHEN k.revoked_at <= now() THEN 'key revoked'
            WHEN k.expires_at <= now() THEN 'key expired'
            ELSE 'active' END AS state
FROM secret_paths p
JOIN api_keys k ON k.tenant_id = p.tenant_id AND k.id = p.api_key_id
WHERE p.tenant_id = $1
ORDER BY p.id DESC
