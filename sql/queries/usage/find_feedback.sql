-- usage/find_feedback: Finds the feedback that a user sent with an idempotency key, and the version that it is about.
SELECT r.id, r.skill_id, r.version_id, r.outcome, r.minutes_saved, r.tokens, v.version, v.digest
FROM skill_feedback r
JOIN skill_versions v ON v.tenant_id = r.tenant_id AND v.id = r.version_id
WHERE r.tenant_id = $1 AND r.user_id = $2 AND r.idempotency_key = $3
