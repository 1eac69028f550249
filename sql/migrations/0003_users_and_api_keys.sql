-- Users and their API keys.
-- Rules for every tenant table: each key begins with tenant_id, and foreign keys between tenant tables include it.
-- Foreign-key and unique checks bypass row level security; a key without the tenant would reveal to one tenant which
-- values another tenant has. The referencing columns of every foreign key have an index.

CREATE TABLE users (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    name text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, email)
);

CREATE TABLE api_keys (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- SHA-256 of the whole API key. The key has 190 random bits, so a slow password hash would add nothing.
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY[
        'skills:read', 'skills:install', 'skills:publish', 'skills:review', 'usage:write', 'usage:read', 'admin'
    ]::text[]),
    -- NULL: no restriction. Otherwise the slugs of the only skills, or the names of the only tools, that it may use.
    only_skills text[],
    only_tools text[],
    -- NULL: unlimited, apart from the tenant's own limits.
    calls_per_minute integer CHECK (calls_per_minute > 0),
    calls_per_month bigint CHECK (calls_per_month > 0),
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    -- The API key that replaced this one when it was rotated.
    replaced_by uuid,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    FOREIGN KEY (tenant_id, replaced_by) REFERENCES api_keys (tenant_id, id)
);
CREATE INDEX api_keys_by_user ON api_keys (tenant_id, user_id);
CREATE INDEX api_keys_by_replacement ON api_keys (tenant_id, replaced_by);
