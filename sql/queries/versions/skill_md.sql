-- versions/skill_md: Reads the SKILL.md of a version, and the slug of its skill.
SELECT s.slug, b.bytes
FROM skill_versions v
JOIN skills s ON s.tenant_id = v.tenant_id AND s.id = v.skill_id
JOIN skill_files f ON f.tenant_id = v.tenant_id AND f.version_id = v.id AND f.path = 'SKILL.md'
JOIN blobs b ON b.tenant_id = f.tenant_id AND b.digest = f.digest
WHERE v.tenant_id = $1 AND v.id = $2
