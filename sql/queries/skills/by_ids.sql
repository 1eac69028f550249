-- skills/by_ids: Reads the summaries of skills by id; row level security filters the ids that the search index returned.
SELECT s.id, s.slug, s.name, s.description, s.category, s.tags, s.author, s.license, s.conformant,
       s.deprecated_at IS NOT NULL AS deprecated, v.version, v.file_count, v.total_bytes
FROM skills s
JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.id = s.latest_version_id
WHERE s.tenant_id = $1 AND s.id = ANY($2) AND s.status = 'active'
