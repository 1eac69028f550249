-- users/set_status: suspends a user or lets him work again; his keys follow.
UPDATE users SET status = $3 WHERE tenant_id = $1 AND email = $2 AND status <> $3
