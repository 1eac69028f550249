-- skills/set_status: Archives or restores a skill.
UPDATE skills SET status = $3, revision = $4, updated_at = now()
WHERE tenant_id = $1 AND id = $2
