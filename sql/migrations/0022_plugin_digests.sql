-- The digests of plugins, which the marketplace for Claude Code lists. A plugin is an archive of a version that also contains the
-- skill's slug, and a slug may change.

CREATE TABLE plugin_digests (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    version_id uuid NOT NULL,
    -- The slug that is in the archive.
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 64),
    -- SHA-256 of the bytes of the zip archive. A change of how plugins are written needs a migration that empties this table.
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (tenant_id, version_id, slug),
    -- Versions are deleted only when their skill is purged or their tenant is erased.
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id) ON DELETE CASCADE
);

ALTER TABLE plugin_digests ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON plugin_digests AS PERMISSIVE FOR ALL TO PUBLIC
    USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id());
CREATE POLICY tenant_isolation ON plugin_digests AS RESTRICTIVE FOR ALL TO PUBLIC
    USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id());
REVOKE ALL ON plugin_digests FROM PUBLIC;
GRANT SELECT, INSERT ON plugin_digests TO skillkeep_app, skillkeep_admin;
