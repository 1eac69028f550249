-- denied/requested: Finds the denied published version $3, or else the newest one, of the skill $2, to say why it cannot be installed.
SELECT s.slug, v.version, c.digest, c.reason
FROM skills s
JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.skill_id = s.id
JOIN denied_digests c ON c.tenant_id = v.tenant_id AND (c.digest = v.digest OR EXISTS (
    SELECT FROM skill_files f WHERE f.tenant_id = $1 AND f.version_id = v.id AND f.digest = c.digest))
WHERE s.tenant_id = $1 AND (s.slug = $2 OR s.id = (SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = $2))
  AND s.status = 'active' AND v.status = 'published' AND v.quarantined AND (v.version = $3 OR $3::text IS NULL)
ORDER BY v.ordinal DESC, c.created_at
LIMIT 1
