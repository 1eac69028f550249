-- skills/find_existing: Finds the skills that have, or had before a rename, the slug $2 or $3, or that source $5 of the import $4 filled.
-- OFFSET 0 keeps each look-up a look-up by index: a plan made while the table was small would read every skill. Slugs in
-- an array would be planned anew for each call, which takes longer than the look-up.
SELECT s.id, s.slug, s.owner_id, s.source_name, s.source, s.status, s.latest_version_id,
       (SELECT array_agg(a.slug) FROM skill_aliases a WHERE a.tenant_id = $1 AND a.skill_id = s.id) AS former_slugs
FROM (SELECT k.id FROM skills k WHERE k.tenant_id = $1 AND k.slug = $2
      UNION
      SELECT k.id FROM skills k WHERE k.tenant_id = $1 AND k.slug = $3
      UNION
      SELECT k.id FROM skills k WHERE k.tenant_id = $1 AND k.source = $5 AND k.source_name = $4
      UNION
      SELECT k.id FROM skills k WHERE k.tenant_id = $1 AND k.source = $5 AND k.source_name = ''
      UNION
      SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = $2
      UNION
      SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = $3
     ) AS found (id)
CROSS JOIN LATERAL
    (SELECT k.id, k.slug, k.owner_id, k.source_name, k.source, k.status, k.latest_version_id
     FROM skills k WHERE k.tenant_id = $1 AND k.id = found.id OFFSET 0) s
