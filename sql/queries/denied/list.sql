-- denied/list: Lists the denylist, newest first, with the number of versions that each digest affects.
SELECT c.digest, c.reason, c.created_by, c.created_at,
       (SELECT count(*) FROM skill_versions v WHERE v.tenant_id = $1 AND (v.digest = c.digest OR EXISTS (
            SELECT FROM skill_files f WHERE f.tenant_id = $1 AND f.version_id = v.id AND f.digest = c.digest))) AS versions
FROM denied_digests c
WHERE c.tenant_id = $1
ORDER BY c.created_at DESC, c.digest
