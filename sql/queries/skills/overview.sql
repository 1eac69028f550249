-- skills/overview: Lists skills after slug $2 in every state, with owner, ratings and installs; without archived ones unless $3.
SELECT s.slug, s.name, s.description, s.status, s.deprecated_at IS NOT NULL AS deprecated, s.updated_at, s.source_name,
       v.version, u.email AS owner_email,
       (SELECT count(*) FROM skill_versions w WHERE w.tenant_id = $1 AND w.skill_id = s.id) AS versions,
       (SELECT count(*) FROM skill_versions w WHERE w.tenant_id = $1 AND w.skill_id = s.id AND w.status = 'in_review') AS in_review,
       (SELECT count(*) FROM skill_versions w WHERE w.tenant_id = $1 AND w.skill_id = s.id AND w.quarantined
           AND w.status <> 'yanked') AS quarantined,
       (SELECT avg(r.stars)::float8 FROM ratings r WHERE r.tenant_id = $1 AND r.skill_id = s.id AND r.withdrawn_at IS NULL) AS stars,
       (SELECT count(*) FROM installs i WHERE i.tenant_id = $1 AND i.skill_id = s.id AND i.state = 'confirmed') AS installs
FROM skills s
LEFT JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.id = s.latest_version_id
LEFT JOIN users u ON u.tenant_id = s.tenant_id AND u.id = s.owner_id
WHERE s.tenant_id = $1 AND s.slug COLLATE "C" > $2 AND (s.status = 'active' OR $3)
ORDER BY s.slug COLLATE "C"
LIMIT $4
