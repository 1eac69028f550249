-- signing_keys/list: Lists a tenant's public keys, newest first, with the number of versions that each signed.
SELECT k.id, k.public_key, k.created_by, k.created_at, k.retired_at,
       (SELECT count(DISTINCT g.version_id) FROM version_signatures g WHERE g.tenant_id = $1 AND g.key_id = k.id) AS versions
FROM signing_keys k
WHERE k.tenant_id = $1
ORDER BY k.created_at DESC, k.id
