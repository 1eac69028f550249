-- versions/contents: Reads every file of a version with its bytes, in byte order of the paths.
SELECT f.path, f.digest, f.size, f.mode, b.bytes
FROM skill_files f
JOIN blobs b ON b.tenant_id = f.tenant_id AND b.digest = f.digest
WHERE f.tenant_id = $1 AND f.version_id = $2
ORDER BY f.path
