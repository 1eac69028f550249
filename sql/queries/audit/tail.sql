-- audit/tail: Lists a tenant's newest audit entries, newest first.
SELECT a.seq, a.id, a.actor_kind, a.actor, a.action, a.subject, a.details::text AS details_text, a.source, a.created_at
FROM audit_logs a
WHERE a.tenant_id = $1
ORDER BY a.seq DESC
LIMIT $2
