-- Secret paths, for clients that can send no header, and the digests of archives, which their indexes list.

CREATE TABLE secret_paths (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    -- It acts with the rights of this key, and ends with it.
    api_key_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- SHA-256 of the secret, which has 190 random bits.
    secret_hash bytea NOT NULL CHECK (octet_length(secret_hash) = 32),
    -- The slugs of the only skills that it opens, of those that the key may see. NULL: all of them.
    only_skills text[],
    -- The administrator's account on the operating system.
    created_by text NOT NULL CHECK (length(created_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz NOT NULL,
    revoked_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, secret_hash),
    -- Keys are deleted only when their tenant is erased.
    FOREIGN KEY (tenant_id, api_key_id) REFERENCES api_keys (tenant_id, id) ON DELETE CASCADE,
    -- 90 days.
    CHECK (expires_at > created_at AND expires_at <= created_at + interval '2160 hours')
);
CREATE INDEX secret_paths_by_key ON secret_paths (tenant_id, api_key_id);

-- The digest of an archive follows from the version, and takes reading all of its files to compute.
CREATE TABLE archive_digests (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    version_id uuid NOT NULL,
    -- SHA-256 of the bytes of the zip archive.
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    PRIMARY KEY (tenant_id, version_id),
    -- Versions are deleted only when their skill is purged or their tenant is erased.
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id) ON DELETE CASCADE
);

DO $policies$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['secret_paths', 'archive_digests'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant_access ON %I AS PERMISSIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I AS RESTRICTIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', tenant_table);
    END LOOP;
END
$policies$;

GRANT SELECT ON secret_paths TO skillkeep_app, skillkeep_admin;
GRANT INSERT, UPDATE (revoked_at) ON secret_paths TO skillkeep_admin;
GRANT SELECT, INSERT ON archive_digests TO skillkeep_app, skillkeep_admin;
