-- embeddings/changed: Reads the skills that changed after revision $2 of the catalog or $3 of the embeddings, each with its vectors of model $4.
SELECT s.id, s.revision AS catalog_revision, e.revision AS embeddings_revision, e.vector
FROM skills s
LEFT JOIN skill_embeddings e ON e.tenant_id = s.tenant_id AND e.version_id = s.latest_version_id AND e.model = $4 AND s.status = 'active'
WHERE s.tenant_id = $1 AND s.revision > $2
UNION ALL
SELECT s.id, s.revision AS catalog_revision, e.revision AS embeddings_revision, e.vector
FROM skill_embeddings e
JOIN skills s ON s.tenant_id = e.tenant_id AND s.latest_version_id = e.version_id
WHERE e.tenant_id = $1 AND e.model = $4 AND e.revision > $3 AND s.revision <= $2 AND s.status = 'active'
