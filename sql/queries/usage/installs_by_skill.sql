-- usage/installs_by_skill: Counts the confirmed installs of a period by skill.
SELECT i.skill_id, count(*) AS installs
FROM installs i
WHERE i.tenant_id = $1 AND i.id >= $2 AND i.id < $3 AND i.state = 'confirmed'
GROUP BY i.skill_id
