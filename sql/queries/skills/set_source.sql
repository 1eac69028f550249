-- skills/set_source: Binds a skill to the import source that fills it (admin role).
UPDATE skills SET source_name = $3, source = $4, updated_at = now()
WHERE tenant_id = $1 AND id = $2
