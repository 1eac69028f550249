-- Signatures of versions. The private keys are files of the operator; the database holds public keys and signatures only.

CREATE TABLE signing_keys (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    -- The first 16 hexadecimal digits of the SHA-256 of the public key.
    id text NOT NULL,
    -- Ed25519 (RFC 8032).
    public_key bytea NOT NULL CHECK (octet_length(public_key) = 32),
    -- The administrator's account on the operating system.
    created_by text NOT NULL CHECK (length(created_by) BETWEEN 1 AND 200),
    created_at timestamptz NOT NULL DEFAULT now(),
    -- Since then the key signs nothing more. What it signed before stays valid.
    retired_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    CHECK (id = left(encode(sha256(public_key), 'hex'), 16))
);

CREATE TABLE version_signatures (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    version_id uuid NOT NULL,
    -- The slug that the signature covers. A renamed skill gets signatures for its new slug.
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 64),
    key_id text NOT NULL,
    signature bytea NOT NULL CHECK (octet_length(signature) = 64),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version_id, slug, key_id),
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id),
    FOREIGN KEY (tenant_id, key_id) REFERENCES signing_keys (tenant_id, id)
);
CREATE INDEX version_signatures_by_key ON version_signatures (tenant_id, key_id);

-- A leaked key that was retired must sign nothing more.
CREATE FUNCTION check_signing_key() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    IF EXISTS (SELECT FROM signing_keys k
               WHERE k.tenant_id = NEW.tenant_id AND k.id = NEW.key_id AND k.retired_at IS NOT NULL) THEN
        RAISE EXCEPTION 'a retired key signs nothing more' USING ERRCODE = 'restrict_violation';
    END IF;
    NEW.created_at := now();
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION check_signing_key() FROM PUBLIC;
CREATE TRIGGER check_signing_key BEFORE INSERT ON version_signatures
    FOR EACH ROW EXECUTE FUNCTION check_signing_key();
ALTER TABLE version_signatures ENABLE ALWAYS TRIGGER check_signing_key;

DO $policies$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['signing_keys', 'version_signatures'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant_access ON %I AS PERMISSIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I AS RESTRICTIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', tenant_table);
    END LOOP;
END
$policies$;

GRANT SELECT ON signing_keys TO skillkeep_app, skillkeep_admin;
GRANT INSERT, UPDATE (retired_at) ON signing_keys TO skillkeep_admin;
GRANT SELECT, INSERT ON version_signatures TO skillkeep_app, skillkeep_admin;

-- As before, and the signatures of the skill's versions.
CREATE OR REPLACE FUNCTION purge_skill(tenant uuid, purged uuid) RETURNS TABLE (table_name text, row_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    digests bytea[];
    manifests bytea[];
BEGIN
    IF tenant IS DISTINCT FROM public.current_tenant_id() THEN
        RAISE EXCEPTION 'only skills of the current tenant can be purged' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Publishers hold this lock until they commit, so no version is added meanwhile.
    PERFORM FROM public.tenants t WHERE t.id = tenant FOR UPDATE;
    SELECT coalesce(array_agg(DISTINCT f.digest), '{}') INTO digests
        FROM public.skill_files f JOIN public.skill_versions v ON v.tenant_id = f.tenant_id AND v.id = f.version_id
        WHERE v.tenant_id = tenant AND v.skill_id = purged;
    SELECT coalesce(array_agg(DISTINCT v.digest), '{}') INTO manifests
        FROM public.skill_versions v WHERE v.tenant_id = tenant AND v.skill_id = purged;
    UPDATE public.skills s SET successor_id = NULL WHERE s.tenant_id = tenant AND s.successor_id = purged;
    UPDATE public.skills s SET origin_skill_id = NULL WHERE s.tenant_id = tenant AND s.origin_skill_id = purged;
    FOREACH table_name IN ARRAY ARRAY['skill_feedback', 'installs', 'ratings', 'skill_aliases'] LOOP
        EXECUTE format('DELETE FROM public.%I WHERE tenant_id = $1 AND skill_id = $2', table_name) USING tenant, purged;
        GET DIAGNOSTICS row_count = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
    FOREACH table_name IN ARRAY ARRAY['version_signatures', 'skill_reviews', 'skill_embeddings', 'skill_files'] LOOP
        EXECUTE format('DELETE FROM public.%I WHERE tenant_id = $1 AND version_id IN (
            SELECT v.id FROM public.skill_versions v WHERE v.tenant_id = $1 AND v.skill_id = $2)', table_name)
            USING tenant, purged;
        GET DIAGNOSTICS row_count = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
    table_name := 'skill_versions';
    DELETE FROM public.skill_versions v WHERE v.tenant_id = tenant AND v.skill_id = purged;
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN NEXT;
    table_name := 'skills';
    DELETE FROM public.skills s WHERE s.tenant_id = tenant AND s.id = purged;
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN NEXT;
    table_name := 'blobs';
    DELETE FROM public.blobs b WHERE b.tenant_id = tenant AND b.digest = ANY (digests)
        AND NOT EXISTS (SELECT FROM public.skill_files f WHERE f.tenant_id = tenant AND f.digest = b.digest);
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN NEXT;
    FOREACH table_name IN ARRAY ARRAY['skill_scans', 'scan_overrides'] LOOP
        EXECUTE format('DELETE FROM public.%I r WHERE r.tenant_id = $1 AND r.digest = ANY ($2) AND NOT EXISTS (
            SELECT FROM public.skill_versions v WHERE v.tenant_id = $1 AND v.digest = r.digest)', table_name)
            USING tenant, manifests;
        GET DIAGNOSTICS row_count = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
END
$$;

-- As before, with the new tables.
CREATE OR REPLACE FUNCTION erase_tenant(erased uuid) RETURNS TABLE (table_name text, row_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    has_rows boolean;
    status_before text;
BEGIN
    IF erased IS DISTINCT FROM public.current_tenant_id() THEN
        RAISE EXCEPTION 'only the current tenant can be erased' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- An insert into a tenant table holds a key-share lock on the tenant's row until it commits. This lock therefore
    -- waits for writers that have begun; those that begin later wait for the erasure, and then fail.
    SELECT t.status INTO status_before FROM public.tenants t WHERE t.id = erased FOR UPDATE;
    IF status_before IS NULL OR status_before = 'erased' THEN
        RAISE EXCEPTION 'the tenant does not exist or is already erased'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- Referencing tables come before the tables that they refer to.
    FOREACH table_name IN ARRAY ARRAY(
        SELECT c.relname::text FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
          AND c.relname ~ '^pruned_events_\d{4}_\d{2}$'
        ORDER BY c.relname
    ) || ARRAY[
        'skill_feedback', 'usage_events', 'installs', 'ratings', 'skill_reviews', 'skill_embeddings', 'skill_files',
        'skill_aliases', 'skill_scans', 'scan_overrides', 'version_signatures', 'signing_keys', 'skill_versions', 'skills',
        'blobs', 'api_keys', 'users', 'tenant_settings'
    ] LOOP
        EXECUTE format('DELETE FROM public.%I WHERE tenant_id = $1', table_name) USING erased;
        GET DIAGNOSTICS row_count = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
    -- Fails if a later migration added a tenant table that is missing from the list.
    FOR table_name IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND c.relname <> 'audit_logs'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE tenant_id = $1)', table_name)
            INTO has_rows USING erased;
        IF has_rows THEN
            RAISE EXCEPTION 'rows of the tenant are left in %', table_name;
        END IF;
    END LOOP;
    -- The slug becomes free. The new revision notifies listening clients that the catalog is now empty.
    UPDATE public.tenants SET slug = 'erased-' || erased, name = 'erased', status = 'erased',
        catalog_revision = catalog_revision + 1, calls_per_minute = NULL, calls_per_month = NULL,
        cursor_secret = uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), updated_at = now()
        WHERE id = erased;
END
$$;
