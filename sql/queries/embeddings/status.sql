-- embeddings/status: Counts the skills that searches can find, those with a vector of model $2, and vectors of other models.
SELECT count(*) AS skills, count(e.version_id) AS embedded,
       (SELECT count(*) FROM skill_embeddings o WHERE o.tenant_id = $1 AND o.model <> $2) AS other
FROM skills s
LEFT JOIN skill_embeddings e ON e.tenant_id = s.tenant_id AND e.version_id = s.latest_version_id AND e.model = $2
WHERE s.tenant_id = $1 AND s.status = 'active' AND s.latest_version_id IS NOT NULL
