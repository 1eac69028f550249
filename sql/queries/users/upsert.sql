-- users/upsert: the user with this address, made if there is none.
WITH made AS (
    INSERT INTO users (tenant_id, id, email, name) VALUES ($1, $2, $3, $4)
    ON CONFLICT (tenant_id, email) DO NOTHING
    RETURNING id, status
)
SELECT id, status, true AS created FROM made
UNION ALL
SELECT u.id, u.status, false FROM users u WHERE u.tenant_id = $1 AND u.email = $3
