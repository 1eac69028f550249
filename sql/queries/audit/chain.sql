-- audit/chain: Reads a batch of a tenant's audit log from $2 on, oldest first, with every field that the hashes cover.
-- `infinity` has no epoch; it maps to 0, so hash verification fails for such a row.
SELECT a.seq, a.id,
       CASE WHEN isfinite(a.created_at) THEN (extract(epoch FROM a.created_at) * 1000000)::bigint ELSE 0 END AS created_us,
       a.actor_kind, a.actor, a.action, a.subject, a.details::text AS details_text, a.source, a.prev_hash, a.hash
FROM audit_logs a
WHERE a.tenant_id = $1 AND a.seq >= $2
ORDER BY a.seq
LIMIT $3
