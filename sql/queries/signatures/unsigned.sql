-- signatures/unsigned: Lists the first $3 published versions after the version $4 without a signature for the present slug; with $2, also those that only retired keys signed.
SELECT v.id, v.version, v.digest, s.slug
FROM skill_versions v
JOIN skills s ON s.tenant_id = v.tenant_id AND s.id = v.skill_id
WHERE v.tenant_id = $1 AND v.id > $4
  AND (v.status = 'published' OR v.status = 'yanked' AND v.published_at IS NOT NULL)
  AND NOT EXISTS (
      SELECT FROM version_signatures g
      JOIN signing_keys k ON k.tenant_id = g.tenant_id AND k.id = g.key_id
      WHERE g.tenant_id = $1 AND g.version_id = v.id AND g.slug = s.slug AND (k.retired_at IS NULL OR NOT $2))
ORDER BY v.id
LIMIT $3
