-- usage/by_user: Counts the calls of a period by user.
SELECT u.email, count(*) AS calls, count(DISTINCT e.skill_id) AS skills
FROM usage_events e
JOIN users u ON u.tenant_id = e.tenant_id AND u.id = e.user_id
WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
GROUP BY u.email
ORDER BY calls DESC, u.email
LIMIT $4
