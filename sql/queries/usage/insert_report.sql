-- usage/insert_report: what a caller says of a skill that he used; the same idempotency key counts once.
INSERT INTO usage_reports (tenant_id, id, idempotency_key, user_id, skill_id, version_id, outcome, minutes_saved, tokens, comment)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
ON CONFLICT (tenant_id, user_id, idempotency_key) DO NOTHING
