-- How skills are used: installs, ratings, feedback, and one usage event for each call.

CREATE TABLE installs (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    skill_id uuid NOT NULL,
    version_id uuid NOT NULL,
    user_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    assistant text NOT NULL CHECK (length(assistant) <= 32),
    target text NOT NULL CHECK (length(target) <= 1024),
    -- offered: the files were sent to the caller. confirmed: the caller reported the digest of this version.
    -- mismatched: the caller reported another digest.
    state text NOT NULL DEFAULT 'offered' CHECK (state IN ('offered', 'confirmed', 'mismatched')),
    reported_digest bytea CHECK (octet_length(reported_digest) = 32),
    created_at timestamptz NOT NULL DEFAULT now(),
    reported_at timestamptz,
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, skill_id) REFERENCES skills (tenant_id, id),
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    FOREIGN KEY (tenant_id, api_key_id) REFERENCES api_keys (tenant_id, id)
);
CREATE INDEX installs_by_skill ON installs (tenant_id, skill_id);
CREATE INDEX installs_by_version ON installs (tenant_id, version_id);
CREATE INDEX installs_by_user ON installs (tenant_id, user_id);
CREATE INDEX installs_by_api_key ON installs (tenant_id, api_key_id);

CREATE TABLE ratings (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    skill_id uuid NOT NULL,
    user_id uuid NOT NULL,
    stars smallint NOT NULL CHECK (stars BETWEEN 1 AND 5),
    comment text NOT NULL DEFAULT '' CHECK (length(comment) <= 4000),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, skill_id, user_id),
    FOREIGN KEY (tenant_id, skill_id) REFERENCES skills (tenant_id, id),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id)
);
CREATE INDEX ratings_by_user ON ratings (tenant_id, user_id);

-- What callers report about a skill that they used (the tool record_usage).
CREATE TABLE skill_feedback (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    -- Chosen by the caller. Feedback sent twice with the same key is stored once.
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
CREATE INDEX skill_feedback_by_skill ON skill_feedback (tenant_id, skill_id);
CREATE INDEX skill_feedback_by_version ON skill_feedback (tenant_id, version_id);
CREATE INDEX skill_feedback_by_time ON skill_feedback (tenant_id, created_at);

-- One row for each call, partitioned by month. The id is a UUIDv7, whose first 48 bits are the time in milliseconds: one
-- index serves as primary key, as order of time and to find a month of a tenant. Skills, versions and API keys are not
-- foreign keys, because an event outlives what it names.
CREATE TABLE usage_events (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    user_id uuid NOT NULL,
    -- The name that the caller used, cut at 128 characters, also if there is no such tool.
    tool text NOT NULL CHECK (length(tool) <= 128),
    skill_id uuid,
    version_id uuid,
    digest bytea,
    outcome text NOT NULL CHECK (outcome IN (
        'ok', 'tool_error', 'invalid_arguments', 'unknown_tool', 'malformed', 'missing_scope', 'over_limit', 'panicked',
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
    -- Names and sizes of the arguments, and the text of a search (see tenants.search_text). Never file contents.
    arguments jsonb NOT NULL DEFAULT '{}',
    -- Number of skills that a search found; NULL for other tools.
    result_count integer,
    result_bytes bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id)
) PARTITION BY RANGE (id);

-- The smallest UUIDv7 of a time: the time in milliseconds, then zeros.
CREATE FUNCTION usage_partition_bound(at_time timestamptz) RETURNS uuid
    LANGUAGE sql IMMUTABLE STRICT
    RETURN (rpad(lpad(to_hex((extract(epoch FROM at_time) * 1000)::bigint), 12, '0'), 32, '0'))::uuid;
REVOKE ALL ON FUNCTION usage_partition_bound(timestamptz) FROM PUBLIC;

-- Creates the missing partitions of the last month, this month and the given number of months ahead, with their policies;
-- returns how many it created. SECURITY DEFINER: the server calls it, although it may not create tables itself.
CREATE FUNCTION ensure_usage_partitions(months_ahead integer) RETURNS integer
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    this_month timestamp := date_trunc('month', now() AT TIME ZONE 'UTC');
    month timestamp;
    partition text;
    created integer := 0;
BEGIN
    IF months_ahead NOT BETWEEN 0 AND 24 THEN
        RAISE EXCEPTION 'months_ahead must be between 0 and 24' USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Two servers that start at the same time would otherwise both try to create the same partition.
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
        created := created + 1;
    END LOOP;
    RETURN created;
END
$$;
REVOKE ALL ON FUNCTION ensure_usage_partitions(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION ensure_usage_partitions(integer) TO skillkeep_app, skillkeep_admin;
