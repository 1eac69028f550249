-- skills/of_source: Lists the active skills that the import source $2 filled.
SELECT s.id, s.slug, s.source
FROM skills s
WHERE s.tenant_id = $1 AND s.source_name = $2 AND s.source IS NOT NULL AND s.status = 'active'
ORDER BY s.source COLLATE "C"
