-- skills/list_taken_slugs: Lists the slugs of $2 that a skill has, or had before a rename.
-- OFFSET 0 keeps each look-up a look-up by index: a plan made while the table was small would read every skill.
SELECT candidate.slug
FROM unnest($2::text[]) AS candidate (slug)
CROSS JOIN LATERAL
    (SELECT s.id FROM skills s WHERE s.tenant_id = $1 AND s.slug = candidate.slug OFFSET 0) s
UNION
SELECT candidate.slug
FROM unnest($2::text[]) AS candidate (slug)
CROSS JOIN LATERAL
    (SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = candidate.slug OFFSET 0) a
