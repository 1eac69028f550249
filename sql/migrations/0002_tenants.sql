-- Tenants, and the function that every policy compares with.

-- The tenant of this transaction. NULL, hence no rows, both where nothing was ever set and where a setting has
-- ended with its transaction: PostgreSQL then reports an empty string. Plain SQL, so that the planner inlines it.
CREATE FUNCTION current_tenant_id() RETURNS uuid
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN nullif(current_setting('app.current_tenant_id', true), '')::uuid;

CREATE TABLE tenants (
    id uuid PRIMARY KEY,
    slug text NOT NULL UNIQUE CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 64),
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    -- Counts the changes to the tenant's skills. Each change locks this row until it commits, so revisions
    -- become visible in their order and an index that has seen revision n has missed nothing before it.
    catalogue_revision bigint NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);
