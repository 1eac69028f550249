-- users/upsert: Finds the user with an email address, or creates them; the column created says which.
-- DO UPDATE and not DO NOTHING: a concurrent insert of the same address would otherwise leave no row to return. The
-- assignment changes nothing; status is a column that the admin role may update.
INSERT INTO users (tenant_id, id, email, name)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, email) DO UPDATE SET status = users.status
RETURNING id, status, id = $2 AS created
