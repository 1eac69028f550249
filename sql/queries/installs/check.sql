-- installs/check: Finds of each slug in $2 the published version: by label $3, else by manifest digest $4, else the latest; of skills in $5 only, if not NULL.
SELECT w.position, s.id AS skill_id, s.slug, s.status, v.id AS version_id, v.version, v.digest, v.status AS version_status,
       v.yank_reason, v.quarantined, o.version AS latest_version,
       CASE WHEN v.quarantined THEN (
           SELECT g.reason FROM denied_digests g
           WHERE g.tenant_id = $1 AND (g.digest = v.digest OR EXISTS (
               SELECT FROM skill_files f WHERE f.tenant_id = $1 AND f.version_id = v.id AND f.digest = g.digest))
           ORDER BY g.created_at LIMIT 1) END AS denial
FROM unnest($2::text[], $3::text[], $4::bytea[]) WITH ORDINALITY AS w (slug, version, digest, position)
JOIN skills s ON s.tenant_id = $1 AND s.id = coalesce(
    (SELECT k.id FROM skills k WHERE k.tenant_id = $1 AND k.slug = w.slug),
    (SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = w.slug))
LEFT JOIN skill_versions v ON v.tenant_id = $1 AND v.id = (
    SELECT c.id FROM skill_versions c
    WHERE c.tenant_id = $1 AND c.skill_id = s.id AND c.published_at IS NOT NULL
      AND (c.version = w.version OR w.version IS NULL AND (c.digest = w.digest OR w.digest IS NULL AND c.id = s.latest_version_id))
    ORDER BY c.ordinal DESC LIMIT 1)
LEFT JOIN skill_versions o ON o.tenant_id = $1 AND o.id = s.latest_version_id
WHERE s.tenant_id = $1 AND ($5::text[] IS NULL OR s.slug = ANY ($5))
ORDER BY w.position
