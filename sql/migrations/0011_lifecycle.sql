-- The life of a skill: states of versions, owners, origins, former slugs, reviews, ratings, scans and import sources.

ALTER TABLE skills
    -- Who may publish versions and manage the skill. NULL: administrators only, as for imported skills.
    ADD COLUMN owner_id uuid,
    -- The name of the import's source; source is the path in it. Two sources never share a skill.
    ADD COLUMN source_name text NOT NULL DEFAULT '' CHECK (length(source_name) <= 300),
    ADD COLUMN deprecated_at timestamptz,
    ADD COLUMN deprecation_note text CHECK (length(deprecation_note) <= 1000),
    ADD COLUMN successor_id uuid,
    -- The version that a fork was copied from.
    ADD COLUMN origin_skill_id uuid,
    ADD COLUMN origin_version text CHECK (length(origin_version) <= 64),
    ADD COLUMN origin_digest bytea CHECK (octet_length(origin_digest) = 32),
    DROP CONSTRAINT skills_tenant_id_source_key,
    ADD UNIQUE (tenant_id, source_name, source),
    ADD FOREIGN KEY (tenant_id, owner_id) REFERENCES users (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, successor_id) REFERENCES skills (tenant_id, id),
    ADD FOREIGN KEY (tenant_id, origin_skill_id) REFERENCES skills (tenant_id, id);
CREATE INDEX skills_by_owner ON skills (tenant_id, owner_id);
CREATE INDEX skills_by_successor ON skills (tenant_id, successor_id);
CREATE INDEX skills_by_origin ON skills (tenant_id, origin_skill_id);

-- Slugs that a skill had before it was renamed. A slug is never both here and in skills.
CREATE TABLE skill_aliases (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 64),
    skill_id uuid NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, slug),
    FOREIGN KEY (tenant_id, skill_id) REFERENCES skills (tenant_id, id)
);
CREATE INDEX skill_aliases_by_skill ON skill_aliases (tenant_id, skill_id);

ALTER TABLE skill_versions
    DROP CONSTRAINT skill_versions_status_check,
    ADD CONSTRAINT skill_versions_status_check CHECK (status IN ('draft', 'in_review', 'published', 'yanked')),
    ADD COLUMN change_note text NOT NULL DEFAULT '' CHECK (length(change_note) <= 2000),
    -- NULL for versions that were published when they were created.
    ADD COLUMN published_at timestamptz,
    -- Whether the scanner found something critical that no reviewer overrode. The version is then neither found nor
    -- installed.
    ADD COLUMN quarantined boolean NOT NULL DEFAULT false;
CREATE INDEX skill_versions_by_digest ON skill_versions (tenant_id, digest);

-- A version's files and metadata never change; its state does, along the arrows of this function only.
CREATE OR REPLACE FUNCTION forbid_published_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    mutable CONSTANT text[] := ARRAY['status', 'yanked_at', 'yank_reason', 'published_at', 'quarantined'];
BEGIN
    -- Nested: the other tables with this trigger have no column status.
    IF TG_TABLE_NAME = 'skill_versions' THEN
        IF to_jsonb(OLD) - mutable = to_jsonb(NEW) - mutable
            AND (OLD.status = NEW.status OR (OLD.status, NEW.status) IN (
                ('draft', 'in_review'), ('draft', 'published'), ('in_review', 'draft'), ('in_review', 'published'),
                ('draft', 'yanked'), ('in_review', 'yanked'), ('published', 'yanked'), ('yanked', 'published')))
            AND (OLD.published_at IS NULL OR OLD.published_at = NEW.published_at)
            -- A withdrawn draft must not become a published version without a review.
            AND (OLD.status <> 'yanked' OR NEW.status = 'yanked' OR OLD.published_at IS NOT NULL) THEN
            RETURN NEW;
        END IF;
    END IF;
    RAISE EXCEPTION 'a published version cannot be changed' USING ERRCODE = 'restrict_violation';
END
$$;
REVOKE ALL ON FUNCTION forbid_published_change() FROM PUBLIC;

ALTER TABLE skill_reviews
    ADD COLUMN quality smallint CHECK (quality BETWEEN 1 AND 10),
    ADD COLUMN clarity smallint CHECK (clarity BETWEEN 1 AND 10),
    ADD COLUMN completeness smallint CHECK (completeness BETWEEN 1 AND 10),
    -- Who decided: a person, or an assistant on its own.
    ADD COLUMN decided_by text NOT NULL DEFAULT 'person' CHECK (decided_by IN ('person', 'assistant')),
    -- Whether the verdict changed the version's state.
    ADD COLUMN counted boolean NOT NULL DEFAULT true;

ALTER TABLE ratings
    -- Whether the user had installed or reported on the skill when they rated it.
    ADD COLUMN used boolean NOT NULL DEFAULT false,
    -- Set when the user took the rating back.
    ADD COLUMN withdrawn_at timestamptz;

-- The scanner's result for the files of a version, by the digest of its manifest.
CREATE TABLE skill_scans (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    -- Version of the scanner's rules. Another version means that the files must be scanned again.
    ruleset text NOT NULL CHECK (length(ruleset) BETWEEN 1 AND 100),
    -- Highest severity of the findings; NULL without findings.
    worst text CHECK (worst IN ('info', 'low', 'medium', 'high', 'critical')),
    findings jsonb NOT NULL DEFAULT '[]',
    scanned_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, digest)
);

-- Reviewers' decisions that files may be used in spite of critical findings.
CREATE TABLE scan_overrides (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    -- NULL: an administrator at the command line.
    reviewer_id uuid,
    reason text NOT NULL CHECK (length(reason) BETWEEN 1 AND 1000),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, digest),
    FOREIGN KEY (tenant_id, reviewer_id) REFERENCES users (tenant_id, id)
);
CREATE INDEX scan_overrides_by_reviewer ON scan_overrides (tenant_id, reviewer_id);

DO $policies$
DECLARE
    tenant_table text;
BEGIN
    FOREACH tenant_table IN ARRAY ARRAY['skill_aliases', 'skill_scans', 'scan_overrides'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', tenant_table);
        EXECUTE format('CREATE POLICY tenant_access ON %I AS PERMISSIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('CREATE POLICY tenant_isolation ON %I AS RESTRICTIVE FOR ALL TO PUBLIC
            USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id())', tenant_table);
        EXECUTE format('REVOKE ALL ON %I FROM PUBLIC', tenant_table);
    END LOOP;
END
$policies$;

GRANT SELECT, INSERT ON skill_aliases, skill_scans, scan_overrides TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (slug, owner_id, source, source_name, deprecated_at, deprecation_note, successor_id)
    ON skills TO skillkeep_app, skillkeep_admin;
-- A renamed skill may get a former slug of its own back.
GRANT DELETE ON skill_aliases TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (published_at, quarantined) ON skill_versions TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (used, withdrawn_at) ON ratings TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (ruleset, worst, findings, scanned_at) ON skill_scans TO skillkeep_app, skillkeep_admin;

-- Deletes a skill of the current tenant with everything that refers to it, except usage events and audit entries. Bytes
-- that other skills share are kept. Returns the number of deleted rows of each table. The function's owner is bound by
-- the policies (FORCE), so it cannot reach another tenant.
CREATE FUNCTION purge_skill(tenant uuid, purged uuid) RETURNS TABLE (table_name text, row_count bigint)
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
    FOREACH table_name IN ARRAY ARRAY['skill_reviews', 'skill_embeddings', 'skill_files'] LOOP
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
REVOKE ALL ON FUNCTION purge_skill(uuid, uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION purge_skill(uuid, uuid) TO skillkeep_admin;

-- Deletes the usage events of the current tenant that are older than keep_from, for tenants with a shorter retention than
-- the server's. Returns the number of deleted rows.
CREATE FUNCTION prune_tenant_usage(tenant uuid, keep_from timestamptz) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    row_count bigint;
BEGIN
    IF tenant IS DISTINCT FROM public.current_tenant_id() THEN
        RAISE EXCEPTION 'only events of the current tenant can be deleted' USING ERRCODE = 'insufficient_privilege';
    END IF;
    IF keep_from IS NULL OR keep_from > now() - interval '1 day' THEN
        RAISE EXCEPTION 'events of the last day cannot be deleted' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    DELETE FROM public.usage_events e
        WHERE e.tenant_id = tenant AND e.id < public.usage_partition_bound(keep_from);
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN row_count;
END
$$;
REVOKE ALL ON FUNCTION prune_tenant_usage(uuid, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prune_tenant_usage(uuid, timestamptz) TO skillkeep_admin;

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
    FOREACH table_name IN ARRAY ARRAY[
        'skill_feedback', 'usage_events', 'installs', 'ratings', 'skill_reviews', 'skill_embeddings', 'skill_files',
        'skill_aliases', 'skill_scans', 'scan_overrides', 'skill_versions', 'skills', 'blobs', 'api_keys', 'users',
        'tenant_settings'
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
REVOKE ALL ON FUNCTION erase_tenant(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_tenant(uuid) TO skillkeep_admin;
