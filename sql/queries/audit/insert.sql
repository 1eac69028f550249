-- audit/insert: Appends one audit entry; triggers set its sequence number, time and hashes.
INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject, details, source)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
