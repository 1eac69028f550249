-- skills/statuses: Reads whether the skills with the slugs $2 are active or archived.
SELECT s.slug, s.status FROM skills s WHERE s.tenant_id = $1 AND s.slug = ANY($2) ORDER BY s.slug
