-- ratings/recent: Lists the newest ratings of a skill that have a comment.
SELECT r.stars, r.comment, r.used, r.updated_at
FROM ratings r
WHERE r.tenant_id = $1 AND r.skill_id = $2 AND r.withdrawn_at IS NULL AND r.comment <> ''
ORDER BY r.updated_at DESC
LIMIT $3
