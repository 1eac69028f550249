-- embeddings/delete_outdated: Deletes the vectors of other models than $2, and of versions that searches cannot find.
DELETE FROM skill_embeddings e
WHERE e.tenant_id = $1 AND (e.model <> $2 OR NOT EXISTS (
    SELECT FROM skills s WHERE s.tenant_id = $1 AND s.latest_version_id = e.version_id AND s.status = 'active'))
