-- versions/list: Lists a skill's versions, newest first.
SELECT v.version, v.digest, v.file_count, v.total_bytes, v.status, v.created_at
FROM skills s
JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.skill_id = s.id
WHERE s.tenant_id = $1 AND s.slug = $2 AND s.status = 'active'
ORDER BY v.ordinal DESC
LIMIT $3
