-- embeddings/pending: Reads a batch of the skills after revision $2 that searches can find, to embed them with model $3; with $4 only those without a vector.
SELECT s.revision, s.latest_version_id AS version_id, s.slug, s.name, s.description, b.bytes AS skill_md, e.input_hash
FROM skills s
LEFT JOIN skill_embeddings e ON e.tenant_id = s.tenant_id AND e.version_id = s.latest_version_id AND e.model = $3
LEFT JOIN skill_files f ON f.tenant_id = s.tenant_id AND f.version_id = s.latest_version_id AND f.path = 'SKILL.md'
LEFT JOIN blobs b ON b.tenant_id = f.tenant_id AND b.digest = f.digest
WHERE s.tenant_id = $1 AND s.revision > $2 AND s.status = 'active' AND s.latest_version_id IS NOT NULL
    AND (NOT $4::boolean OR e.version_id IS NULL)
ORDER BY s.revision
LIMIT $5
