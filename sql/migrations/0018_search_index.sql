-- The search index: segments, which hold documents, and blocks of postings.

CREATE TABLE search_segments (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    -- Programs ignore segments of other formats.
    format smallint NOT NULL,
    -- Changes up to this revision of the tenant's catalog are in this segment or in others.
    revision bigint NOT NULL,
    document_count integer NOT NULL CHECK (document_count >= 0),
    documents bytea NOT NULL,
    directory bytea NOT NULL,
    vocabulary bytea NOT NULL,
    document_words bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
);

CREATE TABLE search_blocks (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    segment_id uuid NOT NULL,
    -- Its place in the directory of the segment.
    number integer NOT NULL CHECK (number >= 0),
    bytes bytea NOT NULL,
    PRIMARY KEY (tenant_id, segment_id, number),
    FOREIGN KEY (tenant_id, segment_id) REFERENCES search_segments (tenant_id, id) ON DELETE CASCADE
);

-- They are compact already: compressing them again takes longer than reading them.
ALTER TABLE search_segments
    ALTER COLUMN documents SET STORAGE EXTERNAL, ALTER COLUMN directory SET STORAGE EXTERNAL,
    ALTER COLUMN vocabulary SET STORAGE EXTERNAL, ALTER COLUMN document_words SET STORAGE EXTERNAL;
ALTER TABLE search_blocks ALTER COLUMN bytes SET STORAGE EXTERNAL;

DO $policies$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['search_segments', 'search_blocks'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant_access ON %I AS PERMISSIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I AS RESTRICTIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', tenant_table);
    END LOOP;
END
$policies$;

-- The index is derived from the skills and can be built again: these are the only rows that the server deletes.
GRANT SELECT, INSERT, DELETE ON search_segments, search_blocks TO skillkeep_app, skillkeep_admin;

-- As before, and the tenant's whole index, since its segments hold the words of the purged skill.
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
    FOREACH table_name IN ARRAY ARRAY['skill_feedback', 'installs', 'ratings', 'distributions', 'skill_aliases'] LOOP
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
    FOREACH table_name IN ARRAY ARRAY['search_blocks', 'search_segments'] LOOP
        EXECUTE format('DELETE FROM public.%I WHERE tenant_id = $1', table_name) USING tenant;
        GET DIAGNOSTICS row_count = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
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
        'skill_aliases', 'skill_scans', 'scan_overrides', 'version_signatures', 'signing_keys', 'denied_digests',
        'distributions', 'user_group_members', 'user_groups', 'skill_versions', 'skills', 'blobs', 'api_keys', 'users',
        'tenant_settings', 'search_blocks', 'search_segments'
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
