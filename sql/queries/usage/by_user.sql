-- usage/by_user: Counts the calls of a period by user.
WITH pairs AS (
    -- Grouped twice instead of count(DISTINCT), which would sort every event.
    SELECT e.user_id, e.skill_id, count(*) AS calls
    FROM usage_events e
    WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
    GROUP BY e.user_id, e.skill_id
)
SELECT u.email, sum(p.calls)::bigint AS calls, count(p.skill_id) AS skills
FROM pairs p
JOIN users u ON u.tenant_id = $1 AND u.id = p.user_id
GROUP BY u.email
ORDER BY calls DESC, u.email
LIMIT $4
