-- skills/changed_slugs: which skills changed after a revision.
SELECT s.slug
FROM skills s
WHERE s.tenant_id = $1 AND s.revision > $2
ORDER BY s.revision
LIMIT $3
