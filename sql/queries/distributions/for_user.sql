-- distributions/for_user: Lists what the active user $2 should have: of each skill, a group's distribution before that to all, then the newest.
SELECT DISTINCT ON (s.slug) s.slug, v.version
FROM distributions o
JOIN skills s ON s.tenant_id = o.tenant_id AND s.id = o.skill_id
LEFT JOIN skill_versions v ON v.tenant_id = o.tenant_id AND v.id = o.version_id
WHERE o.tenant_id = $1 AND s.status = 'active' AND s.latest_version_id IS NOT NULL
  AND (o.version_id IS NULL OR v.status = 'published' AND NOT v.quarantined)
  AND EXISTS (SELECT FROM users u WHERE u.tenant_id = $1 AND u.id = $2 AND u.status = 'active')
  AND (o.group_id IS NULL OR EXISTS (
      SELECT FROM user_group_members e WHERE e.tenant_id = $1 AND e.group_id = o.group_id AND e.user_id = $2))
ORDER BY s.slug, o.group_id IS NULL, o.created_at DESC, o.id DESC
