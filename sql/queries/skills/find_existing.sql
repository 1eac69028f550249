-- skills/find_existing: Finds the skills that have, or had before a rename, one of the slugs $2, or that source $4 of the import $3 filled.
-- One condition with OR would read every skill of the tenant.
SELECT s.id, s.slug, s.owner_id, s.source_name, s.source, s.status, s.latest_version_id,
       (SELECT array_agg(a.slug) FROM skill_aliases a WHERE a.tenant_id = $1 AND a.skill_id = s.id) AS former_slugs
FROM skills s
WHERE s.tenant_id = $1
  AND s.id IN (SELECT t.id FROM skills t WHERE t.tenant_id = $1 AND t.slug = ANY($2)
               UNION ALL
               SELECT t.id FROM skills t WHERE t.tenant_id = $1 AND t.source = $4 AND t.source_name = ANY(ARRAY[$3, ''])
               UNION ALL
               SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = ANY($2))
