-- ratings/withdraw: Takes back a user's rating of a skill.
UPDATE ratings SET withdrawn_at = now(), updated_at = now()
WHERE tenant_id = $1 AND skill_id = $2 AND user_id = $3 AND withdrawn_at IS NULL
