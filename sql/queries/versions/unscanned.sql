-- versions/unscanned: Lists digests whose scan is missing or older than the rules $2, each with one of its versions.
SELECT DISTINCT ON (v.digest) v.id, v.digest, s.slug, v.version
FROM skill_versions v
JOIN skills s ON s.tenant_id = v.tenant_id AND s.id = v.skill_id
LEFT JOIN skill_scans c ON c.tenant_id = v.tenant_id AND c.digest = v.digest
WHERE v.tenant_id = $1 AND c.ruleset IS DISTINCT FROM $2
ORDER BY v.digest
LIMIT $3
