-- The wall between tenants. FORCE binds the owner too. A permissive policy alone would be widened by any other
-- permissive one, a restrictive one alone shows no row at all: so each table has both, and both filter by tenant.
DO $policies$
DECLARE
    guarded text;
BEGIN
    FOREACH guarded IN ARRAY ARRAY[
        'users', 'api_keys', 'skills', 'skill_versions', 'blobs', 'skill_files', 'skill_embeddings', 'skill_reviews',
        'ratings', 'installs', 'site_settings', 'usage_events', 'usage_reports', 'audit_logs'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', guarded);
        EXECUTE format('CREATE POLICY tenant_access ON %I AS PERMISSIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', guarded);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I AS RESTRICTIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', guarded);
        EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', guarded);
    END LOOP;
END
$policies$;

-- Of tenants the server sees its caller's row. The operator, who creates, lists and suspends them, sees all rows
-- of this one table; even he is bound by the tenant in every other.
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON tenants AS PERMISSIVE FOR ALL TO PUBLIC
    USING (id = current_tenant_id()) WITH CHECK (id = current_tenant_id());
CREATE POLICY tenant_isolation ON tenants AS RESTRICTIVE FOR ALL TO PUBLIC
    USING (id = current_tenant_id() OR current_user = 'skillkeep_admin')
    WITH CHECK (id = current_tenant_id() OR current_user = 'skillkeep_admin');
CREATE POLICY tenant_directory ON tenants AS PERMISSIVE FOR ALL TO skillkeep_admin
    USING (true) WITH CHECK (true);
REVOKE ALL ON tenants FROM PUBLIC;

-- What each role may do. Nobody may delete a record, change a published version, or truncate anything.
GRANT SELECT ON tenants, users, api_keys, skills, skill_versions, blobs, skill_files, skill_embeddings, skill_reviews,
    ratings, installs, site_settings, usage_events, usage_reports, audit_logs TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (catalogue_revision, updated_at) ON tenants TO skillkeep_app;
GRANT INSERT ON skills, skill_versions, blobs, skill_files, skill_embeddings, skill_reviews, ratings, installs,
    usage_events, usage_reports, audit_logs TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (name, description, category, tags, author, license, status, conformant, notes, latest_version_id, revision,
    updated_at) ON skills TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (status, yanked_at, yank_reason) ON skill_versions TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (stars, comment, updated_at) ON ratings TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (state, reported_digest, reported_at) ON installs TO skillkeep_app, skillkeep_admin;
GRANT INSERT ON tenants, users, api_keys, site_settings TO skillkeep_admin;
GRANT UPDATE (name, status, catalogue_revision, updated_at) ON tenants TO skillkeep_admin;
GRANT UPDATE (name, status) ON users TO skillkeep_admin;
GRANT UPDATE (expires_at, revoked_at, replaced_by) ON api_keys TO skillkeep_admin;
GRANT UPDATE (value, updated_at), DELETE ON site_settings TO skillkeep_admin;
GRANT EXECUTE ON FUNCTION current_tenant_id() TO skillkeep_app, skillkeep_admin;

SELECT ensure_usage_partitions(3);
