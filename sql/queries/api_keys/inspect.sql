-- api_keys/inspect: Finds an API key by its hash, with its user, permissions and state.
SELECT k.id, k.name, u.email, k.scopes, k.only_skills, k.only_tools, k.calls_per_minute, k.calls_per_month, k.created_at,
       k.expires_at, k.revoked_at, k.replaced_by,
       CASE WHEN k.revoked_at <= now() THEN 'revoked'
            WHEN k.expires_at <= now() THEN 'expired'
            WHEN t.status <> 'active' THEN 'tenant suspended'
            WHEN u.status <> 'active' THEN 'suspended'
            ELSE 'active' END AS state,
       (SELECT max(e.created_at) FROM usage_events e WHERE e.tenant_id = $1 AND e.api_key_id = k.id) AS last_used_at
FROM api_keys k
JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
JOIN tenants t ON t.id = k.tenant_id
WHERE k.tenant_id = $1 AND k.key_hash = $2
