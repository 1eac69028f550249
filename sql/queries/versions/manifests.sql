-- versions/manifests: Reads the manifests of several versions, without the bytes.
SELECT f.version_id, f.path, f.digest, f.size, f.mode
FROM skill_files f
WHERE f.tenant_id = $1 AND f.version_id = ANY($2)
ORDER BY f.version_id, f.path
