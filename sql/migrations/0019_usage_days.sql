-- Summaries of days of usage events, from which the usage report is added up: reading a million events takes seconds.
--
-- A summary is derived from the events of its day and can be made again. It is stored by the first report that needs it, and it stays
-- exact: a day is summarised two hours after it ended at the earliest (usage/insert_day), an event that is inserted an hour or more
-- after its time deletes the summaries that it is missing in, and removing events removes their summaries.

CREATE TABLE usage_days (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    -- In UTC.
    day date NOT NULL,
    -- Calls by tool and outcome: three arrays of one length, as those that follow.
    tools text[] NOT NULL,
    outcomes text[] NOT NULL,
    tool_calls integer[] NOT NULL,
    -- Calls by duration in tenths of a millisecond, rounded.
    durations integer[] NOT NULL,
    duration_calls integer[] NOT NULL,
    -- Calls by user and skill; the skill is NULL for calls that were about none.
    pair_users uuid[] NOT NULL,
    pair_skills uuid[] NOT NULL,
    pair_calls integer[] NOT NULL,
    -- Searches that found nothing or only weak hits, by text and names of filters, separated by commas.
    empty_queries text[] NOT NULL,
    empty_filters text[] NOT NULL,
    empty_weak boolean[] NOT NULL,
    empty_searches integer[] NOT NULL,
    -- Searches with hits that no use followed within 30 minutes, by text and user.
    lost_queries text[] NOT NULL,
    lost_users uuid[] NOT NULL,
    lost_searches integer[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, day)
);
-- UUIDs do not compress.
ALTER TABLE usage_days ALTER COLUMN pair_users SET STORAGE EXTERNAL, ALTER COLUMN pair_skills SET STORAGE EXTERNAL;

ALTER TABLE usage_days ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY tenant_access ON usage_days AS PERMISSIVE FOR ALL TO PUBLIC
    USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id());
CREATE POLICY tenant_isolation ON usage_days AS RESTRICTIVE FOR ALL TO PUBLIC
    USING (tenant_id = current_tenant_id()) WITH CHECK (tenant_id = current_tenant_id());
REVOKE ALL ON usage_days FROM PUBLIC;
GRANT SELECT, INSERT ON usage_days TO skillkeep_app, skillkeep_admin;

-- Deletes the summaries that an event is missing in. SECURITY DEFINER: the server may not delete them itself.
CREATE FUNCTION forget_usage_day() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    event_day date := (to_timestamp(('x' || left(translate(NEW.id::text, '-', ''), 12))::bit(48)::bigint / 1000.0) AT TIME ZONE 'UTC')::date;
BEGIN
    -- Who summarises holds the same lock until the commit (usage/try_lock_days), so it either sees the event, or its summary is
    -- seen here.
    PERFORM pg_advisory_xact_lock(hashtextextended('skillkeep.usage_days:' || NEW.tenant_id::text, 0));
    -- Also the day before: a use may follow a search of that day.
    DELETE FROM public.usage_days d WHERE d.tenant_id = NEW.tenant_id AND d.day BETWEEN event_day - 1 AND event_day;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION forget_usage_day() FROM PUBLIC;
-- The condition is the id's time in milliseconds. A call is recorded within a minute, so it is true only if a clock is wrong.
CREATE TRIGGER forget_usage_day AFTER INSERT ON usage_events FOR EACH ROW
    WHEN (('x' || left(translate(NEW.id::text, '-', ''), 12))::bit(48)::bigint / 1000.0 < extract(epoch FROM now() - interval '1 hour'))
    EXECUTE FUNCTION forget_usage_day();

-- As before, and the summaries of the days from which events are deleted.
CREATE OR REPLACE FUNCTION prune_tenant_usage(tenant uuid, keep_from timestamptz) RETURNS bigint
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
    -- See forget_usage_day.
    PERFORM pg_advisory_xact_lock(hashtextextended('skillkeep.usage_days:' || tenant::text, 0));
    DELETE FROM public.usage_days d WHERE d.tenant_id = tenant AND d.day <= (keep_from AT TIME ZONE 'UTC')::date;
    DELETE FROM public.usage_events e
        WHERE e.tenant_id = tenant AND e.id < public.usage_partition_bound(keep_from);
    GET DIAGNOSTICS row_count = ROW_COUNT;
    RETURN row_count;
END
$$;

-- As before, and the summaries of the month. Until then usage/days leaves them out.
CREATE OR REPLACE FUNCTION prune_detached_month(keep_from date, pruned_by text, max_tenants integer)
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
        DELETE FROM public.usage_days d
            WHERE d.tenant_id = tenant AND d.day < to_date(right(detached, 7), 'YYYY_MM') + interval '1 month';
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

-- As before, with the new table.
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
        'tenant_settings', 'search_blocks', 'search_segments', 'usage_days'
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
