-- denied/of_manifest: Finds the oldest entry of the denylist that is the manifest $2 or a file of it.
SELECT c.digest, c.reason
FROM denied_digests c
WHERE c.tenant_id = $1 AND (c.digest = $2 OR EXISTS (
    SELECT FROM skill_files f
    JOIN skill_versions v ON v.tenant_id = f.tenant_id AND v.id = f.version_id
    WHERE f.tenant_id = $1 AND v.digest = $2 AND f.digest = c.digest))
ORDER BY c.created_at, c.digest
LIMIT 1
