-- distributions/list: Lists the distributed skills.
SELECT o.id, s.slug, w.name AS group_name, v.version, o.created_by, o.created_at
FROM distributions o
JOIN skills s ON s.tenant_id = o.tenant_id AND s.id = o.skill_id
LEFT JOIN user_groups w ON w.tenant_id = o.tenant_id AND w.id = o.group_id
LEFT JOIN skill_versions v ON v.tenant_id = o.tenant_id AND v.id = o.version_id
WHERE o.tenant_id = $1
ORDER BY s.slug, w.name NULLS FIRST
