-- audit/chain: a stretch of a tenant's audit log, oldest first, with every field that its hashes cover.
-- A time that is none has no microseconds; its hash will not fit.
SELECT a.seq, a.id,
       CASE WHEN isfinite(a.created_at) THEN (extract(epoch FROM a.created_at) * 1000000)::bigint ELSE 0 END AS created_us,
       a.actor_kind, a.actor, a.action, a.subject, a.details::text AS details_text, a.source, a.prev_hash, a.hash
FROM audit_logs a
WHERE a.tenant_id = $1 AND a.seq >= $2
ORDER BY a.seq
LIMIT $3
