-- A tenant for people who have just one. Nothing falls back to it: a key decides, as for every other tenant.
SELECT set_config('app.current_tenant_id', '01900000-0000-7000-8000-000000000001', true);
INSERT INTO tenants (id, slug, name) VALUES ('01900000-0000-7000-8000-000000000001', 'default', 'Default');
