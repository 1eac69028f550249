-- skills/for_publishing: the skills that hold a slug or came from a source, with their latest manifest.
SELECT s.id, s.slug, s.source, v.version, v.ordinal, v.digest
FROM skills s
LEFT JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.id = s.latest_version_id
WHERE s.tenant_id = $1 AND (s.slug = ANY($2) OR s.source = $3)
