-- The end of a tenant, and of its records, holds against whoever is at work at that moment; and both stand in the log.

-- What of a tenant refers to this column and not to the id: of one that was erased there is nothing to refer to, so
-- that no row can come into it any more. The audit log goes on referring to the id, since it stays.
ALTER TABLE tenants
    ADD COLUMN alive_id uuid GENERATED ALWAYS AS (CASE WHEN status = 'erased' THEN NULL ELSE id END) STORED,
    ADD CONSTRAINT tenants_alive_id_key UNIQUE (alive_id);

DO $alive$
DECLARE
    guarded text;
    -- What refers to another comes before it.
    of_tenants CONSTANT text[] := ARRAY[
        'usage_reports', 'usage_events', 'installs', 'ratings', 'skill_reviews', 'skill_embeddings', 'skill_files',
        'skill_versions', 'skills', 'blobs', 'api_keys', 'users', 'site_settings'
    ];
BEGIN
    -- Rows that came into a tenant while it was erased, or after. Until the end of this block the owner sees all.
    ALTER TABLE tenants NO FORCE ROW LEVEL SECURITY;
    FOREACH guarded IN ARRAY of_tenants LOOP
        EXECUTE format('ALTER TABLE %I NO FORCE ROW LEVEL SECURITY', guarded);
    END LOOP;
    FOREACH guarded IN ARRAY of_tenants LOOP
        EXECUTE format('DELETE FROM %I WHERE tenant_id IN (SELECT id FROM tenants WHERE status = ''erased'')', guarded);
    END LOOP;
    SET CONSTRAINTS ALL IMMEDIATE;
    FOREACH guarded IN ARRAY of_tenants LOOP
        EXECUTE format('ALTER TABLE %I DROP CONSTRAINT %I, ADD CONSTRAINT %2$I FOREIGN KEY (tenant_id)
            REFERENCES tenants (alive_id)', guarded, guarded || '_tenant_id_fkey');
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', guarded);
    END LOOP;
    ALTER TABLE tenants FORCE ROW LEVEL SECURITY;
    SET CONSTRAINTS ALL DEFERRED;
END
$alive$;

-- Erases everything of the current tenant but its audit log, and answers how many rows of each table went. Its owner
-- is bound by the policies like everybody else, so it reaches no other tenant. For the operator only.
CREATE OR REPLACE FUNCTION erase_tenant(erased uuid) RETURNS TABLE (table_name text, row_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    holds_rows boolean;
    status_before text;
BEGIN
    IF erased IS DISTINCT FROM public.current_tenant_id() THEN
        RAISE EXCEPTION 'only the current tenant can be erased' USING ERRCODE = 'insufficient_privilege';
    END IF;
    -- Every row that refers to the tenant holds this one until its commit: so this waits for whoever is writing, and
    -- whoever begins to write after it waits for the end of the erasure, and then is refused.
    SELECT t.status INTO status_before FROM public.tenants t WHERE t.id = erased FOR UPDATE;
    IF status_before IS NULL OR status_before = 'erased' THEN
        RAISE EXCEPTION 'there is no such tenant, or it was erased before'
            USING ERRCODE = 'object_not_in_prerequisite_state';
    END IF;
    -- What refers to another comes before it.
    FOREACH table_name IN ARRAY ARRAY[
        'usage_reports', 'usage_events', 'installs', 'ratings', 'skill_reviews', 'skill_embeddings', 'skill_files',
        'skill_versions', 'skills', 'blobs', 'api_keys', 'users', 'site_settings'
    ] LOOP
        EXECUTE format('DELETE FROM public.%I WHERE tenant_id = $1', table_name) USING erased;
        GET DIAGNOSTICS row_count = ROW_COUNT;
        RETURN NEXT;
    END LOOP;
    -- A table that a later migration adds must not be forgotten.
    FOR table_name IN
        SELECT c.relname FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
          AND c.relname <> 'audit_logs'
    LOOP
        EXECUTE format('SELECT EXISTS (SELECT FROM public.%I WHERE tenant_id = $1)', table_name)
            INTO holds_rows USING erased;
        IF holds_rows THEN
            RAISE EXCEPTION 'rows of the tenant are left in %', table_name;
        END IF;
    END LOOP;
    -- The slug is free again; clients that listen are told that there is nothing any more.
    UPDATE public.tenants SET slug = 'erased-' || erased, name = 'erased', status = 'erased',
        catalogue_revision = catalogue_revision + 1, calls_per_minute = NULL, calls_per_month = NULL,
        cursor_secret = uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()), updated_at = now()
        WHERE id = erased;
END
$$;

-- Drops the partitions whose month ended before a day, and writes into the log of each tenant what of it went;
-- answers the partitions and how many rows they had. For the operator only.
DROP FUNCTION prune_usage_partitions(date);
CREATE FUNCTION prune_usage_partitions(keep_from date, pruned_by text) RETURNS TABLE (partition text, row_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    tenant_before CONSTANT text := coalesce(current_setting('app.current_tenant_id', true), '');
    of_tenants jsonb := '{}';
    found jsonb;
    tenant text;
BEGIN
    -- The current month and those made ahead are where calls are recorded.
    IF keep_from IS NULL OR keep_from > date_trunc('month', now() AT TIME ZONE 'UTC')::date THEN
        RAISE EXCEPTION 'only months before the current one can be dropped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('skillkeep.usage_partitions', 0));
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.usage_events'::regclass AND c.relname ~ '^usage_events_\d{4}_\d{2}$'
          AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= keep_from
        ORDER BY c.relname
    LOOP
        -- It goes anyhow: the owner may see whose rows are in it, and nobody can add one any more.
        EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY', partition);
        EXECUTE format('SELECT coalesce(jsonb_object_agg(c.tenant_id, c.count), ''{}''), coalesce(sum(c.count), 0)
            FROM (SELECT e.tenant_id, count(*) FROM public.%I e GROUP BY e.tenant_id) c', partition)
            INTO found, row_count;
        FOR tenant IN SELECT jsonb_object_keys(found) LOOP
            of_tenants := jsonb_set(of_tenants, ARRAY[tenant],
                coalesce(of_tenants -> tenant, '{}') || jsonb_build_object(right(partition, 7), found -> tenant));
        END LOOP;
        EXECUTE format('DROP TABLE public.%I', partition);
        RETURN NEXT;
    END LOOP;
    FOR tenant IN SELECT jsonb_object_keys(of_tenants) LOOP
        PERFORM set_config('app.current_tenant_id', tenant, true);
        -- The id is a UUIDv7 like every other: the time in milliseconds, then the version, then random bits.
        INSERT INTO public.audit_logs (tenant_id, id, actor_kind, actor, action, subject, details, source)
        VALUES (tenant::uuid, encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid,
                'operator', pruned_by, 'usage.prune', keep_from::text,
                jsonb_build_object('before', jsonb_build_object('usage_events', of_tenants -> tenant),
                                   'after', jsonb_build_object('usage_events', '{}'::jsonb)),
                'cli');
    END LOOP;
    PERFORM set_config('app.current_tenant_id', tenant_before, true);
END
$$;
REVOKE ALL ON FUNCTION prune_usage_partitions(date, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prune_usage_partitions(date, text) TO skillkeep_admin;

-- Every log begins with the making of its tenant, so that one that was emptied is told from one that is new. The
-- default tenant was made by a migration; where its log has begun already, it stays as it is.
SELECT set_config('app.current_tenant_id', '01900000-0000-7000-8000-000000000001', true);
INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject, details, source)
SELECT t.id, '01900000-0000-7000-8000-000000000002', 'system', 'skillkeep migrate', 'tenant.create', t.slug,
       jsonb_build_object('after', jsonb_build_object('name', t.name, 'status', t.status)), 'migration'
FROM tenants t
WHERE t.id = '01900000-0000-7000-8000-000000000001' AND t.status <> 'erased'
  AND NOT EXISTS (SELECT FROM audit_logs a WHERE a.tenant_id = t.id);
SELECT set_config('app.current_tenant_id', '', true);
