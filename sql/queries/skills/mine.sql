-- skills/mine: Lists the skills of owner $2 after slug $3 in every state, each with its newest version.
SELECT s.id, s.slug, s.name, s.description, s.status, s.deprecated_at, s.updated_at, v.version, v.status AS version_status,
       v.quarantined, l.version AS latest_version
FROM skills s
JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.skill_id = s.id
    AND v.ordinal = (SELECT max(w.ordinal) FROM skill_versions w WHERE w.tenant_id = $1 AND w.skill_id = s.id)
LEFT JOIN skill_versions l ON l.tenant_id = s.tenant_id AND l.id = s.latest_version_id
WHERE s.tenant_id = $1 AND s.owner_id = $2 AND s.slug COLLATE "C" > $3
ORDER BY s.slug COLLATE "C"
LIMIT $4
