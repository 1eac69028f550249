-- groups/find: Finds a group of users by its name.
SELECT w.id
FROM user_groups w
WHERE w.tenant_id = $1 AND w.name = $2
