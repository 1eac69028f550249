-- Tenant isolation. FORCE applies the policies to the tables' owner too. Each table has two policies with the same
-- condition: a permissive one, because a restrictive policy alone shows no row, and a restrictive one, because another
-- permissive policy would otherwise widen access.
DO $policies$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY[
        'tenant_settings', 'users', 'api_keys', 'skills', 'skill_versions', 'blobs', 'skill_files', 'skill_embeddings',
        'skill_reviews', 'installs', 'ratings', 'skill_feedback', 'usage_events', 'audit_logs'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant_access ON %I AS PERMISSIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I AS RESTRICTIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', tenant_table);
    END LOOP;
END
$policies$;

-- The server sees only the caller's row of tenants. skillkeep_admin creates, lists and suspends tenants, so it sees all
-- rows of this table; in every other table it too sees only the current tenant.
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON tenants AS PERMISSIVE FOR ALL TO PUBLIC
    USING (id = current_tenant_id()) WITH CHECK (id = current_tenant_id());
CREATE POLICY tenant_isolation ON tenants AS RESTRICTIVE FOR ALL TO PUBLIC
    USING (id = current_tenant_id() OR current_user = 'skillkeep_admin')
    WITH CHECK (id = current_tenant_id() OR current_user = 'skillkeep_admin');
CREATE POLICY tenant_directory ON tenants AS PERMISSIVE FOR ALL TO skillkeep_admin
    USING (true) WITH CHECK (true);
REVOKE ALL ON tenants FROM PUBLIC;

-- The partitions get their policies when they are created.
SELECT ensure_usage_partitions(3);
