-- ratings/at_least: Lists the skills whose mean rating is at least $2.
SELECT r.skill_id
FROM ratings r
WHERE r.tenant_id = $1 AND r.withdrawn_at IS NULL
GROUP BY r.skill_id
HAVING avg(r.stars) >= $2::int
