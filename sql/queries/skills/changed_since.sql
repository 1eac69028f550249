-- skills/changed_since: Reads a batch of the skills that changed after revision $2, with what the search index needs of each.
SELECT s.id, s.slug, s.name, s.description, s.category, s.tags, s.author, s.status, s.latest_version_id, s.revision, s.updated_at, b.bytes AS skill_md
FROM skills s
LEFT JOIN skill_files f ON f.tenant_id = s.tenant_id AND f.version_id = s.latest_version_id AND f.path = 'SKILL.md'
LEFT JOIN blobs b ON b.tenant_id = f.tenant_id AND b.digest = f.digest
WHERE s.tenant_id = $1 AND s.revision > $2
ORDER BY s.revision
LIMIT $3
