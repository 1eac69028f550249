-- aliases/delete: Forgets a former slug of a skill, which becomes its slug again.
DELETE FROM skill_aliases
WHERE tenant_id = $1 AND slug = $2 AND skill_id = $3
