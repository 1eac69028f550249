-- audit/insert_denial: Appends the audit entry of a denied request, unless the tenant is erased: the erasure stays its last entry.
INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject, details, source)
SELECT t.id, $2::uuid, $3::text, $4::text, $5::text, $6::text, $7::jsonb, $8::text
FROM tenants t
WHERE t.id = $1 AND t.status <> 'erased'
FOR KEY SHARE
