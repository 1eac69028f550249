-- reviews/of_version: Lists the reviews of a version, newest first.
SELECT r.verdict, r.comment, r.quality, r.clarity, r.completeness, r.decided_by, r.counted, r.created_at, u.email
FROM skill_reviews r
JOIN users u ON u.tenant_id = r.tenant_id AND u.id = r.reviewer_id
WHERE r.tenant_id = $1 AND r.version_id = $2
ORDER BY r.id DESC
LIMIT $3
