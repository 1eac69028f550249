-- skills/managed: Reads what decides who may change a skill, by its slug or a former one, in every state.
SELECT s.id, s.slug, s.name, s.owner_id, s.status, s.latest_version_id, s.deprecated_at, s.deprecation_note, s.source_name,
       s.source, s.origin_version, s.origin_digest, c.slug AS successor, o.slug AS origin, u.email AS owner_email,
       ov.version AS origin_latest, ov.digest AS origin_latest_digest
FROM skills s
LEFT JOIN skills c ON c.tenant_id = s.tenant_id AND c.id = s.successor_id
LEFT JOIN skills o ON o.tenant_id = s.tenant_id AND o.id = s.origin_skill_id
LEFT JOIN skill_versions ov ON ov.tenant_id = o.tenant_id AND ov.id = o.latest_version_id
LEFT JOIN users u ON u.tenant_id = s.tenant_id AND u.id = s.owner_id
WHERE s.tenant_id = $1 AND (s.slug = $2 OR s.id = (SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = $2))
