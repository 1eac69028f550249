-- How much a tenant and a key may do, what is kept of searches, and the end of a tenant.

-- NULL: no limit. Calls of a minute are counted by each server for itself, those of a month from the events.
ALTER TABLE tenants
    ADD COLUMN calls_per_minute integer CONSTRAINT tenants_calls_per_minute_check CHECK (calls_per_minute > 0),
    ADD COLUMN calls_per_month bigint CONSTRAINT tenants_calls_per_month_check CHECK (calls_per_month > 0),
    -- What the record of a search keeps of its text: all of it, a keyed hash, or nothing.
    ADD COLUMN search_text text NOT NULL DEFAULT 'kept'
        CONSTRAINT tenants_search_text_check CHECK (search_text IN ('kept', 'hashed', 'off'));
ALTER TABLE api_keys
    ADD COLUMN calls_per_minute integer CONSTRAINT api_keys_calls_per_minute_check CHECK (calls_per_minute > 0),
    ADD COLUMN calls_per_month bigint CONSTRAINT api_keys_calls_per_month_check CHECK (calls_per_month > 0);

-- Of an erased tenant its row and its audit log are left; it never works again.
ALTER TABLE tenants DROP CONSTRAINT tenants_status_check;
ALTER TABLE tenants ADD CONSTRAINT tenants_status_check CHECK (status IN ('active', 'suspended', 'erased'));

ALTER TABLE usage_events DROP CONSTRAINT usage_events_outcome_check;
ALTER TABLE usage_events ADD CONSTRAINT usage_events_outcome_check CHECK (outcome IN (
    'ok', 'tool_error', 'invalid_arguments', 'unknown_tool', 'malformed', 'missing_scope', 'over_limit', 'panicked',
    'timed_out', 'cancelled', 'client_gone', 'internal_error'
));

GRANT UPDATE (calls_per_minute, calls_per_month, search_text) ON tenants TO skillkeep_admin;
GRANT UPDATE (calls_per_minute, calls_per_month) ON api_keys TO skillkeep_admin;

-- Erases everything of the current tenant but its audit log, and answers how many rows of each table went. Its owner
-- is bound by the policies like everybody else, so it reaches no other tenant. For the operator only.
CREATE FUNCTION erase_tenant(erased uuid) RETURNS TABLE (table_name text, row_count bigint)
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
DECLARE
    holds_rows boolean;
BEGIN
    IF erased IS DISTINCT FROM public.current_tenant_id() THEN
        RAISE EXCEPTION 'only the current tenant can be erased' USING ERRCODE = 'insufficient_privilege';
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
REVOKE ALL ON FUNCTION erase_tenant(uuid) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION erase_tenant(uuid) TO skillkeep_admin;

-- Functions that only the triggers and policies of the schema run are nobody's to call.
REVOKE ALL ON FUNCTION chain_audit_entry(), refuse_audit_change(), refuse_change_of_published(),
    announce_catalogue_change(), usage_partition_bound(timestamptz) FROM PUBLIC;
