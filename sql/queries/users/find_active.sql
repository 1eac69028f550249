-- users/find_active: Finds an active user by email address.
SELECT u.id
FROM users u
WHERE u.tenant_id = $1 AND u.email = $2 AND u.status = 'active'
