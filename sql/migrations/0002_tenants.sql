-- Tenants, and the function that every row level security policy compares with.

-- The tenant of the current transaction. NULL, which matches no row, if it was never set, and also after the
-- transaction that set it: PostgreSQL then returns an empty string. Plain SQL, so that the planner can inline it.
CREATE FUNCTION current_tenant_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.current_tenant_id', true), '')::uuid;

CREATE TABLE tenants (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 64),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    -- An erased tenant keeps only this row and its audit log, and never becomes active again.
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended', 'erased')),
    -- The id, or NULL once the tenant is erased (it stays set while the tenant is suspended). Every tenant table but
    -- audit_logs refers to this column and not to id, so that no row can be inserted for an erased tenant. The audit
    -- log outlives the erasure and refers to id.
    active_tenant_id uuid GENERATED ALWAYS AS (CASE WHEN status = 'erased' THEN NULL ELSE id END) STORED UNIQUE,
    -- Number of changes to the tenant's skills. Each change locks this row until it commits. Revisions therefore become
    -- visible in order: a search index that has read revision n has missed no earlier change.
    catalog_revision bigint NOT NULL DEFAULT 0,
    -- Signs the cursors of lists, so that a cursor can be neither forged nor used by another tenant.
    cursor_secret bytea NOT NULL DEFAULT (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
        CHECK (octet_length(cursor_secret) = 32),
    -- NULL: unlimited. Each server process counts the calls of a minute itself; those of a month are counted from
    -- usage_events.
    calls_per_minute integer CHECK (calls_per_minute > 0),
    calls_per_month bigint CHECK (calls_per_month > 0),
    -- What usage events keep of the text of a search: the whole text, a keyed hash, or nothing.
    search_text text NOT NULL DEFAULT 'kept' CHECK (search_text IN ('kept', 'hashed', 'off')),
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

-- Notifies every listening server process at commit, so that the clients of all replicas learn of a change. The payload
-- is the tenant's id only: each client reads what changed with its own API key.
CREATE FUNCTION notify_catalog_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('skillkeep_catalog', NEW.id::text);
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION notify_catalog_change() FROM PUBLIC;
CREATE TRIGGER notify_catalog_change AFTER UPDATE OF catalog_revision ON tenants
    FOR EACH ROW EXECUTE FUNCTION notify_catalog_change();

CREATE TABLE tenant_settings (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 100),
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);
