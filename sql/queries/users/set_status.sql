-- users/set_status: Suspends or resumes a user, and thereby their API keys.
UPDATE users SET status = $3 WHERE tenant_id = $1 AND email = $2 AND status <> $3
