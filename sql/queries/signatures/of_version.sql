-- signatures/of_version: Reads the newest signature of a version for its skill's present slug, by an active key if there is one.
SELECT g.key_id, g.signature
FROM version_signatures g
JOIN signing_keys k ON k.tenant_id = g.tenant_id AND k.id = g.key_id
JOIN skill_versions v ON v.tenant_id = g.tenant_id AND v.id = g.version_id
JOIN skills s ON s.tenant_id = v.tenant_id AND s.id = v.skill_id AND s.slug = g.slug
WHERE g.tenant_id = $1 AND g.version_id = $2
ORDER BY k.retired_at IS NOT NULL, g.created_at DESC, k.created_at DESC
LIMIT 1
