-- signatures/of_skill: Lists the signatures of a skill's versions for the slug $3, with their keys.
SELECT v.id AS version_id, v.version, v.digest, g.key_id, g.signature, k.public_key
FROM version_signatures g
JOIN signing_keys k ON k.tenant_id = g.tenant_id AND k.id = g.key_id
JOIN skill_versions v ON v.tenant_id = g.tenant_id AND v.id = g.version_id
WHERE g.tenant_id = $1 AND v.skill_id = $2 AND g.slug = $3
ORDER BY v.ordinal, g.created_at
