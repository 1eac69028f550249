-- Removing old months of usage events without stopping the calls: each month is detached under a short lock, then its
-- audit entries are written in batches, then it is dropped. A detached month has the name pruned_events_YYYY_MM.

DROP FUNCTION prune_usage_partitions(date, text);

-- Detaches the oldest month that ended before keep_from, and returns its name; NULL if there is none. Calls wait while the
-- locks are taken, so waiting for a lock ends after 200 ms with lock_not_available; the caller tries again later.
CREATE FUNCTION detach_usage_month(keep_from date) RETURNS text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp SET lock_timeout = '200ms' AS $$
DECLARE
    partition text;
    detached text;
    foreign_key text;
BEGIN
    -- Calls are recorded in the partition of the current month and, later, in those created ahead.
    IF keep_from IS NULL OR keep_from > date_trunc('month', now() AT TIME ZONE 'UTC')::date THEN
        RAISE EXCEPTION 'only months before the current one can be dropped' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('skillkeep.usage_partitions', 0));
    -- A call that began before midnight is recorded in the month that has ended: hence the hour.
    SELECT c.relname INTO partition FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.usage_events'::regclass AND c.relname ~ '^usage_events_\d{4}_\d{2}$'
          AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month'
              <= least(keep_from::timestamp, now() AT TIME ZONE 'UTC' - interval '1 hour')
        ORDER BY c.relname LIMIT 1;
    IF partition IS NULL THEN
        RETURN NULL;
    END IF;
    detached := 'pruned_events_' || right(partition, 7);
    -- In the order in which a call locks them, or the two would block each other. The foreign key of a detached table is
    -- dropped, which locks the table that it refers to.
    LOCK TABLE public.tenants, public.usage_events IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('ALTER TABLE public.usage_events DETACH PARTITION public.%I', partition);
    EXECUTE format('ALTER TABLE public.%I RENAME TO %I', partition, detached);
    FOR foreign_key IN SELECT con.conname FROM pg_constraint con
        WHERE con.conrelid = format('public.%I', detached)::regclass AND con.contype = 'f'
    LOOP
        EXECUTE format('ALTER TABLE public.%I DROP CONSTRAINT %I', detached, foreign_key);
    END LOOP;
    RETURN detached;
END
$$;
REVOKE ALL ON FUNCTION detach_usage_month(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION detach_usage_month(date) TO skillkeep_admin;

-- Writes into the audit logs of at most max_tenants tenants how many of their events the oldest detached month holds, and
-- drops the month after the last of them. Returns the month's first name and whether it was dropped; no row if no month is
-- detached. The table's comment keeps the last tenant whose entry was written, so an interrupted removal can be continued.
CREATE FUNCTION prune_detached_month(keep_from date, pruned_by text, max_tenants integer)
    RETURNS TABLE (partition text, dropped boolean)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    tenant_before CONSTANT text := coalesce(current_setting('app.current_tenant_id', true), '');
    detached text;
    last_tenant uuid;
    tenant uuid;
    counts jsonb;
BEGIN
    IF keep_from IS NULL OR max_tenants NOT BETWEEN 1 AND 1000 THEN
        RAISE EXCEPTION 'max_tenants must be between 1 and 1000' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    PERFORM pg_advisory_xact_lock(hashtextextended('skillkeep.usage_partitions', 0));
    SELECT c.relname, obj_description(c.oid, 'pg_class')::uuid INTO detached, last_tenant FROM pg_class c
        WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r' AND NOT c.relispartition
          AND c.relname ~ '^pruned_events_\d{4}_\d{2}$'
        ORDER BY c.relname LIMIT 1;
    IF detached IS NULL THEN
        RETURN;
    END IF;
    partition := 'usage_events_' || right(detached, 7);
    -- The owner must count the rows of all tenants. Nobody else uses the detached table.
    EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY', detached);
    -- The bound makes this an index scan that ends with the last tenant of the batch.
    EXECUTE format('SELECT coalesce(jsonb_object_agg(c.tenant_id, c.count), ''{}'') FROM (
            SELECT e.tenant_id, count(*) FROM public.%I e WHERE e.tenant_id > $1
            GROUP BY e.tenant_id ORDER BY e.tenant_id LIMIT $2) c', detached)
        INTO counts USING coalesce(last_tenant, '00000000-0000-0000-0000-000000000000'), max_tenants;
    FOR tenant IN SELECT k::uuid FROM jsonb_object_keys(counts) k ORDER BY 1 LOOP
        PERFORM set_config('app.current_tenant_id', tenant::text, true);
        -- The id is a UUIDv7 like every other: the time in milliseconds, then the version, then random bits.
        INSERT INTO public.audit_logs (tenant_id, id, actor_kind, actor, action, subject, details, source)
        VALUES (tenant, encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid,
                'admin', pruned_by, 'usage.prune', keep_from::text,
                jsonb_build_object(
                    'before', jsonb_build_object('usage_events',
                        jsonb_build_object(right(detached, 7), counts -> tenant::text)),
                    'after', jsonb_build_object('usage_events', '{}'::jsonb)),
                'cli');
        last_tenant := tenant;
    END LOOP;
    PERFORM set_config('app.current_tenant_id', tenant_before, true);
    dropped := counts = '{}';
    IF dropped THEN
        EXECUTE format('DROP TABLE public.%I', detached);
    ELSE
        EXECUTE format('ALTER TABLE public.%I FORCE ROW LEVEL SECURITY', detached);
        EXECUTE format('COMMENT ON TABLE public.%I IS %L', detached, last_tenant);
    END IF;
    RETURN NEXT;
END
$$;
REVOKE ALL ON FUNCTION prune_detached_month(date, text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prune_detached_month(date, text, integer) TO skillkeep_admin;

-- As before, and the tenant's rows in months that were detached and not dropped yet.
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
