-- api_keys/rejection_reason: Reads the state of a rejected API key, its user and its tenant; returns no row for an erased or unknown tenant.
SELECT t.status AS tenant_status, k.id AS api_key_id, u.status AS user_status,
       coalesce(k.revoked_at <= now(), false) AS revoked,
       coalesce(k.expires_at <= now(), false) AS expired
FROM tenants t
LEFT JOIN api_keys k ON k.tenant_id = $1 AND k.key_hash = $2
LEFT JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
WHERE t.id = $1 AND t.status <> 'erased'
