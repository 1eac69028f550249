-- skills/set_owner: Gives a skill to another user.
UPDATE skills SET owner_id = $3, revision = $4, updated_at = now()
WHERE tenant_id = $1 AND id = $2
