-- A tenant for installations that need only one. No request falls back to it: the API key determines the tenant.
SELECT set_config('app.current_tenant_id', '01900000-0000-7000-8000-000000000001', true);
INSERT INTO tenants (id, slug, name) VALUES ('01900000-0000-7000-8000-000000000001', 'default', 'Default');
-- Every audit log begins with the creation of its tenant, which distinguishes an emptied log from a new one.
INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject, details, source)
SELECT t.id, '01900000-0000-7000-8000-000000000002', 'system', 'skillkeep migrate', 'tenant.create', t.slug,
       jsonb_build_object('after', jsonb_build_object('name', t.name, 'status', t.status)), 'migration'
FROM tenants t
WHERE t.id = '01900000-0000-7000-8000-000000000001';
SELECT set_config('app.current_tenant_id', '', true);
