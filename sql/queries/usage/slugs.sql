-- usage/slugs: Reads the slugs of the skills $2.
SELECT s.id, s.slug
FROM skills s
WHERE s.tenant_id = $1 AND s.id = ANY($2)
