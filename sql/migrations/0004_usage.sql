-- One row for every call, in partitions of a month, and what callers report of the skills that they used.

-- The id is a UUIDv7: its first 48 bits are the time in milliseconds. So one index serves as key, as the order of
-- time and to find a tenant's month. Skills, versions and keys are not referenced: a record outlives what it names.
CREATE TABLE usage_events (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- As the caller named it, cut at 128 characters; an unknown tool is recorded under the name it was called by.
    tool text NOT NULL CHECK (length(tool) <= 128),
    skill_id uuid,
    version_id uuid,
    digest bytea,
    outcome text NOT NULL CHECK (outcome IN (
        'ok', 'tool_error', 'invalid_arguments', 'unknown_tool', 'malformed', 'missing_scope', 'panicked',
        'timed_out', 'cancelled', 'client_gone', 'internal_error'
    )),
    error_code text CHECK (length(error_code) <= 64),
    duration_us bigint NOT NULL CHECK (duration_us >= 0),
    transport text NOT NULL CHECK (transport IN ('stdio', 'http', 'sse')),
    protocol_version text CHECK (length(protocol_version) <= 32),
    client_name text CHECK (length(client_name) <= 200),
    client_version text CHECK (length(client_version) <= 200),
    request_id text CHECK (length(request_id) <= 128),
    trace_id text CHECK (length(trace_id) <= 64),
    idempotency_key text CHECK (length(idempotency_key) <= 128),
    -- Names and sizes of the arguments, and the text searched for; never contents.
    arguments jsonb NOT NULL DEFAULT '{}',
    -- Rows that a search found; NULL for other tools. Tells which searches find nothing.
    result_count integer,
    result_bytes bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

CREATE TABLE usage_reports (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    -- The caller's own key for this report: sent twice, it counts once.
    idempotency_key text NOT NULL CHECK (length(idempotency_key) BETWEEN 1 AND 128),
    user_id uuid NOT NULL,
    skill_id uuid NOT NULL,
    version_id uuid NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('helped', 'failed', 'stale')),
    minutes_saved integer CHECK (minutes_saved BETWEEN 0 AND 10080),
    tokens bigint CHECK (tokens >= 0),
    comment text CHECK (length(comment) <= 2000),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, user_id, idempotency_key),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    FOREIGN KEY (tenant_id, skill_id) REFERENCES skills (tenant_id, id),
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id)
);
CREATE INDEX usage_reports_by_skill ON usage_reports (tenant_id, skill_id);
CREATE INDEX usage_reports_by_time ON usage_reports (tenant_id, created_at);

-- The smallest UUIDv7 of a moment: the time in milliseconds, then zeros.
CREATE FUNCTION usage_partition_bound(moment timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN (rpad(lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0'), 32, '0'))::uuid;

-- Creates the partitions of this month and the months ahead that do not exist yet; answers how many it made.
-- The server may call it, though it may create nothing itself, so that it never runs out of months.
CREATE FUNCTION ensure_usage_partitions(months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month timestamp;
    partition text;
    made integer := 0;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'months_ahead must be between 0 and 24' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- One at a time: two servers that start together would both try to create the same partition.
    PERFORM pg_advisory_xact_lock(hashtextextended('skillkeep.usage_partitions', 0));
    FOR ahead IN -1..months_ahead LOOP
        month := this_month + make_interval(months => ahead);
        partition := 'usage_events_' || to_char(month, 'YYYY_MM');
        CONTINUE WHEN to_regclass('public.' || partition) IS NOT NULL;
        EXECUTE format(
            'CREATE TABLE public.%I PARTITION OF public.usage_events FOR VALUES FROM (%L) TO (%L)', partition,
            public.usage_partition_bound(month AT TIME ZONE 'UTC'),
            public.usage_partition_bound((month + interval '1 month') AT TIME ZONE 'UTC'));
        EXECUTE format('ALTER TABLE public.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', partition);
        EXECUTE format('CREATE POLICY tenant_access ON public.%I AS PERMISSIVE FOR ALL TO PUBLIC
            USING (tenant_id = public.current_tenant_id()) WITH CHECK (tenant_id = public.current_tenant_id())', partition);
        EXECUTE format('CREATE POLICY tenant_isolation ON public.%I AS RESTRICTIVE FOR ALL TO PUBLIC
            USING (tenant_id = public.current_tenant_id()) WITH CHECK (tenant_id = public.current_tenant_id())', partition);
        EXECUTE format('REVOKE ALL ON public.%I FROM PUBLIC', partition);
        made := made + 1;
    END LOOP;
    RETURN made;
END
$$;

-- Drops the partitions whose month ended before a day; answers their names. For the operator only.
CREATE FUNCTION prune_usage_partitions(keep_from date) RETURNS SETOF text
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    partition text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended('skillkeep.usage_partitions', 0));
    FOR partition IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'public.usage_events'::regclass AND c.relname ~ '^usage_events_\d{4}_\d{2}$'
          AND to_date(right(c.relname, 7), 'YYYY_MM') + interval '1 month' <= keep_from
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE public.%I', partition);
        RETURN NEXT partition;
    END LOOP;
END
$$;
REVOKE ALL ON FUNCTION ensure_usage_partitions(integer), prune_usage_partitions(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_usage_partitions(integer) TO skillkeep_app, skillkeep_admin;
GRANT EXECUTE ON FUNCTION prune_usage_partitions(date) TO skillkeep_admin;
