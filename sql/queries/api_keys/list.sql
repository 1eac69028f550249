-- api_keys/list: Lists a tenant's API keys with their users, newest first, and when each was last used according to the usage events.
SELECT k.id, k.name, u.email, k.scopes, k.only_skills, k.only_tools, k.calls_per_minute, k.calls_per_month,
       k.created_at, k.expires_at, k.revoked_at, k.replaced_by,
       CASE WHEN k.revoked_at <= now() THEN 'revoked'
            WHEN k.expires_at <= now() THEN 'expired'
            WHEN t.status <> 'active' THEN 'tenant suspended'
            WHEN u.status <> 'active' THEN 'suspended'
            ELSE 'active' END AS state,
       used.last_used_at
FROM api_keys k
JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
JOIN tenants t ON t.id = k.tenant_id
LEFT JOIN (
    SELECT e.api_key_id, max(e.created_at) AS last_used_at
    FROM usage_events e
    WHERE e.tenant_id = $1
    GROUP BY e.api_key_id
) used ON used.api_key_id = k.id
WHERE k.tenant_id = $1
ORDER BY k.id DESC
