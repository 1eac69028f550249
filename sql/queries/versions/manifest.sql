-- versions/manifest: Reads the manifest of a version, without the bytes.
SELECT f.path, f.digest, f.size, f.mode
FROM skill_files f
WHERE f.tenant_id = $1 AND f.version_id = $2
ORDER BY f.path
