-- skills/changed_slugs: Lists the slugs of the skills that changed after revision $2.
SELECT s.slug
FROM skills s
WHERE s.tenant_id = $1 AND s.revision > $2
ORDER BY s.revision
LIMIT $3
