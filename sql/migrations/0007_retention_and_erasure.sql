-- The two ways to delete data: drop old months of usage events, and erase a tenant. Only skillkeep_admin may call them.

-- Drops the partitions whose month ended before keep_from, and writes into the audit log of each tenant how many of its
-- events were dropped. Returns each partition with its number of rows.
CREATE FUNCTION prune_usage_partitions(keep_from date, pruned_by text) RETURNS TABLE (partition text, row_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    tenant_before CONSTANT text := coalesce(current_setting('app.current_tenant_id', true), '');
    counts_by_tenant jsonb := '{}';
    partition_counts jsonb;
    tenant text;
BEGIN
    -- Calls are recorded in the partition of the current month and, later, in those created ahead.
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
        -- The owner must count the rows of all tenants. The lock that this takes lasts until the table is dropped, so
        -- no row can be inserted meanwhile.
        EXECUTE format('ALTER TABLE public.%I NO FORCE ROW LEVEL SECURITY', partition);
        EXECUTE format('SELECT coalesce(jsonb_object_agg(c.tenant_id, c.count), ''{}''), coalesce(sum(c.count), 0)
            FROM (SELECT e.tenant_id, count(*) FROM public.%I e GROUP BY e.tenant_id) c', partition)
            INTO partition_counts, row_count;
        FOR tenant IN SELECT jsonb_object_keys(partition_counts) LOOP
            counts_by_tenant := jsonb_set(counts_by_tenant, ARRAY[tenant], coalesce(counts_by_tenant -> tenant, '{}')
                || jsonb_build_object(right(partition, 7), partition_counts -> tenant));
        END LOOP;
        EXECUTE format('DROP TABLE public.%I', partition);
        RETURN NEXT;
    END LOOP;
    FOR tenant IN SELECT jsonb_object_keys(counts_by_tenant) LOOP
        PERFORM set_config('app.current_tenant_id', tenant, true);
        -- The id is a UUIDv7 like every other: the time in milliseconds, then the version, then random bits.
        INSERT INTO public.audit_logs (tenant_id, id, actor_kind, actor, action, subject, details, source)
        VALUES (tenant::uuid, encode(set_bit(set_bit(overlay(uuid_send(gen_random_uuid())
                    PLACING substring(int8send((extract(epoch FROM clock_timestamp()) * 1000)::bigint) FROM 3)
                    FROM 1 FOR 6), 52, 1), 53, 1), 'hex')::uuid,
                'admin', pruned_by, 'usage.prune', keep_from::text,
                jsonb_build_object('before', jsonb_build_object('usage_events', counts_by_tenant -> tenant),
                                   'after', jsonb_build_object('usage_events', '{}'::jsonb)),
                'cli');
    END LOOP;
    PERFORM set_config('app.current_tenant_id', tenant_before, true);
END
$$;
REVOKE ALL ON FUNCTION prune_usage_partitions(date, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION prune_usage_partitions(date, text) TO skillkeep_admin;

-- Erases all data of the current tenant but its audit log, and returns the number of deleted rows of each table. The
-- function's owner is bound by the policies (FORCE), so it cannot reach another tenant.
CREATE FUNCTION erase_tenant(erased uuid) RETURNS TABLE (table_name text, row_count bigint)
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
        'skill_versions', 'skills', 'blobs', 'api_keys', 'users', 'tenant_settings'
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
