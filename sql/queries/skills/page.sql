-- skills/page: Lists the skills after slug $2 in byte order, each in its latest version, without yanked ones.
SELECT s.id, s.slug, s.name, s.description, s.updated_at, v.id AS version_id, v.version, v.digest,
       v.status AS version_status, v.yank_reason, v.front_matter
FROM skills s
JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.id = s.latest_version_id
WHERE s.tenant_id = $1 AND s.status = 'active' AND v.status = 'published'
  AND s.slug COLLATE "C" > $2 AND ($3::text[] IS NULL OR s.slug = ANY($3))
ORDER BY s.slug COLLATE "C"
LIMIT $4
