-- secret_paths/rejection_reason: Reads the state of a rejected secret path, its key, user and tenant; returns no row for an erased or unknown tenant.
SELECT t.status AS tenant_status, k.id AS api_key_id, u.status AS user_status,
       coalesce(p.revoked_at <= now() OR k.revoked_at <= now(), false) AS revoked,
       coalesce(p.expires_at <= now() OR k.expires_at <= now(), false) AS expired
FROM tenants t
LEFT JOIN secret_paths p ON p.tenant_id = $1 AND p.secret_hash = $2
LEFT JOIN api_keys k ON k.tenant_id = p.tenant_id AND k.id = p.api_key_id
LEFT JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
WHERE t.id = $1 AND t.status <> 'erased'
