-- signing_keys/public: Reads the newest $2 public keys of a tenant, for its users.
SELECT k.id, k.public_key, k.retired_at IS NOT NULL AS retired
FROM signing_keys k
WHERE k.tenant_id = $1
ORDER BY k.retired_at IS NOT NULL, k.created_at DESC, k.id
LIMIT $2
