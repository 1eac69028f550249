-- usage/insert_feedback: Stores a caller's feedback about a skill; the same idempotency key is stored once.
INSERT INTO skill_feedback (tenant_id, id, idempotency_key, user_id, skill_id, version_id, outcome, minutes_saved, tokens, comment)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tenant_id, user_id, idempotency_key) DO NOTHING
