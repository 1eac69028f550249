-- skills/find_existing: Finds the skills that have one of these slugs or this source, each with its latest version.
SELECT s.id, s.slug, s.source, v.version, v.ordinal, v.digest
FROM skills s
LEFT JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.id = s.latest_version_id
WHERE s.tenant_id = $1 AND (s.slug = ANY($2) OR s.source = $3)
