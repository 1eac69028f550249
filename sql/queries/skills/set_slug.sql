-- skills/set_slug: Renames a skill.
UPDATE skills SET slug = $3, revision = $4, updated_at = now()
WHERE tenant_id = $1 AND id = $2
