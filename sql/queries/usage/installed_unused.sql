-- usage/installed_unused: Lists the active skills with confirmed installs before $3 and no report on them in the period.
SELECT s.slug, count(*) AS installs, max(i.created_at) AS last_install
FROM installs i
JOIN skills s ON s.tenant_id = i.tenant_id AND s.id = i.skill_id
WHERE i.tenant_id = $1 AND i.id < $3 AND i.state = 'confirmed' AND i.device_state IS DISTINCT FROM 'removed'
  AND s.status = 'active'
  AND NOT EXISTS (
      SELECT FROM skill_feedback r
      WHERE r.tenant_id = $1 AND r.skill_id = i.skill_id AND r.id >= $2 AND r.id < $3
  )
GROUP BY s.slug
ORDER BY installs DESC, s.slug
LIMIT $4
