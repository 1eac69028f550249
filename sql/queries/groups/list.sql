-- groups/list: Lists the groups of users with the addresses of their members.
SELECT w.id, w.name, w.created_at,
       coalesce((SELECT array_agg(u.email ORDER BY u.email) FROM user_group_members e
            JOIN users u ON u.tenant_id = e.tenant_id AND u.id = e.user_id
            WHERE e.tenant_id = $1 AND e.group_id = w.id), '{}') AS members
FROM user_groups w
WHERE w.tenant_id = $1
ORDER BY w.name
