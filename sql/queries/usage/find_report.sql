-- usage/find_report: the report that was made with an idempotency key.
SELECT r.id, r.skill_id, r.version_id, r.outcome, r.minutes_saved, r.tokens
FROM usage_reports r
WHERE r.tenant_id = $1 AND r.user_id = $2 AND r.idempotency_key = $3
