-- denied/versions: Lists the versions that are or contain the digest $2.
SELECT s.slug, v.version, v.digest
FROM skill_versions v
JOIN skills s ON s.tenant_id = v.tenant_id AND s.id = v.skill_id
WHERE v.tenant_id = $1 AND (v.digest = $2 OR v.id IN (
    SELECT f.version_id FROM skill_files f WHERE f.tenant_id = $1 AND f.digest = $2))
ORDER BY s.slug, v.ordinal
