-- installs/together: Lists other skills that users who installed one of the skills $2 installed too; of at least $3 users, the first $4.
SELECT o.skill_id, count(DISTINCT o.user_id) AS users
FROM installs o
WHERE o.tenant_id = $1 AND o.state = 'confirmed' AND o.skill_id <> ALL ($2)
  AND EXISTS (
      SELECT FROM installs i
      WHERE i.tenant_id = $1 AND i.user_id = o.user_id AND i.state = 'confirmed' AND i.skill_id = ANY ($2))
GROUP BY o.skill_id
HAVING count(DISTINCT o.user_id) >= $3
ORDER BY users DESC, o.skill_id
LIMIT $4
