-- installs/skills_of_user: Lists the skills that the user $2 installed and, as far as is known, did not remove.
SELECT DISTINCT i.skill_id
FROM installs i
WHERE i.tenant_id = $1 AND i.user_id = $2 AND i.state = 'confirmed' AND i.device_state IS DISTINCT FROM 'removed'
