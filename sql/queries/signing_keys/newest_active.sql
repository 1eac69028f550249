-- signing_keys/newest_active: Reads the key that signs new versions, with the tenant's slug.
SELECT k.id, k.public_key, t.slug
FROM signing_keys k
JOIN tenants t ON t.id = k.tenant_id
WHERE k.tenant_id = $1 AND k.retired_at IS NULL
ORDER BY k.created_at DESC, k.id
LIMIT 1
