-- usage/emails: Reads the email addresses of the users $2.
SELECT u.id, u.email
FROM users u
WHERE u.tenant_id = $1 AND u.id = ANY($2)
