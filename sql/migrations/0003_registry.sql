-- People, keys, skills and what hangs on them. Every key begins with tenant_id, and references between tenant
-- tables carry it along: foreign-key and unique checks ignore row level security, so a key without the tenant
-- would tell one tenant what another has.

CREATE TABLE users (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    email text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    name text NOT NULL DEFAULT '' CHECK (length(name) <= 200),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'suspended')),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, email)
);

CREATE TABLE api_keys (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    user_id uuid NOT NULL,
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    -- SHA-256 of the whole key. The key has 190 random bits, so a slow password hash would add nothing.
    key_hash bytea NOT NULL CHECK (octet_length(key_hash) = 32),
    scopes text[] NOT NULL CHECK (cardinality(scopes) > 0 AND scopes <@ ARRAY[
        'skills:read', 'skills:install', 'skills:publish', 'skills:review', 'usage:write', 'usage:read', 'admin'
    ]::text[]),
    -- NULL: no limit. Otherwise only these slugs, or only these tools.
    only_skills text[],
    only_tools text[],
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    revoked_at timestamptz,
    -- The key that took this one's place at its rotation.
    replaced_by uuid,
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, key_hash),
    FOREIGN KEY (tenant_id, user_id) REFERENCES users (tenant_id, id),
    FOREIGN KEY (tenant_id, replaced_by) REFERENCES api_keys (tenant_id, id)
);

CREATE TABLE skills (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 64),
    -- What the skill calls itself; two skills may share it, their slugs differ.
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    description text NOT NULL CHECK (length(description) <= 1024),
    category text CHECK (length(category) <= 64),
    tags text[] NOT NULL DEFAULT '{}',
    author text CHECK (length(author) <= 200),
    license text CHECK (length(license) <= 200),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived')),
    -- Whether SKILL.md keeps to every rule of the Agent Skills format, and where it does not.
    conformant boolean NOT NULL,
    notes jsonb NOT NULL DEFAULT '[]',
    -- Where it was imported from, relative to the imported folder: what makes a second import find it again.
    source text CHECK (length(source) <= 1024),
    latest_version_id uuid,
    -- The tenant's catalogue_revision at which this row last changed.
    revision bigint NOT NULL,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, slug),
    UNIQUE (tenant_id, source),
    FOREIGN KEY (tenant_id, created_by) REFERENCES users (tenant_id, id)
);
-- Unique: an index that reads on from a revision would miss a second skill of the same one.
CREATE UNIQUE INDEX skills_by_revision ON skills (tenant_id, revision);

CREATE TABLE skill_versions (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    skill_id uuid NOT NULL,
    -- 1 for the first version of a skill, then one more each time.
    ordinal integer NOT NULL CHECK (ordinal > 0),
    -- What the author calls the version, or the ordinal as text.
    version text NOT NULL CHECK (length(version) BETWEEN 1 AND 64),
    -- The digest of the manifest: of every path with its file's digest, size and mode.
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    front_matter jsonb NOT NULL,
    file_count integer NOT NULL CHECK (file_count BETWEEN 1 AND 512),
    total_bytes bigint NOT NULL CHECK (total_bytes BETWEEN 1 AND 16777216),
    status text NOT NULL DEFAULT 'published' CHECK (status IN ('published', 'yanked')),
    yanked_at timestamptz,
    yank_reason text CHECK (length(yank_reason) <= 1000),
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, skill_id, ordinal),
    UNIQUE (tenant_id, skill_id, version),
    -- The target of skills.latest_version_id: a skill's latest version is one of its own.
    UNIQUE (tenant_id, skill_id, id),
    FOREIGN KEY (tenant_id, skill_id) REFERENCES skills (tenant_id, id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES users (tenant_id, id)
);
ALTER TABLE skills ADD CONSTRAINT skills_latest_version_fkey
    FOREIGN KEY (tenant_id, id, latest_version_id) REFERENCES skill_versions (tenant_id, skill_id, id)
    DEFERRABLE INITIALLY DEFERRED;

CREATE TABLE blobs (
    tenant_id uuid NOT NULL REFERENCES tenants,
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    bytes bytea NOT NULL CHECK (octet_length(bytes) <= 16777216),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, digest),
    -- The name of a blob is what it holds, and the database itself sees to that.
    CHECK (digest = sha256(bytes))
);

CREATE TABLE skill_files (
    tenant_id uuid NOT NULL REFERENCES tenants,
    version_id uuid NOT NULL,
    path text COLLATE "C" NOT NULL CHECK (length(path) BETWEEN 1 AND 1024),
    digest bytea NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    mode text NOT NULL CHECK (mode IN ('file', 'executable')),
    PRIMARY KEY (tenant_id, version_id, path),
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id),
    FOREIGN KEY (tenant_id, digest) REFERENCES blobs (tenant_id, digest)
);

CREATE TABLE skill_embeddings (
    tenant_id uuid NOT NULL REFERENCES tenants,
    version_id uuid NOT NULL,
    model text NOT NULL CHECK (length(model) BETWEEN 1 AND 100),
    dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4096),
    -- One signed byte a dimension: read ten times faster than an array of floats.
    vector bytea NOT NULL CHECK (octet_length(vector) = dimensions),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version_id, model),
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id)
);

CREATE TABLE skill_reviews (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    version_id uuid NOT NULL,
    reviewer_id uuid NOT NULL,
    verdict text NOT NULL CHECK (verdict IN ('approved', 'changes_requested')),
    comment text NOT NULL DEFAULT '' CHECK (length(comment) <= 4000),
    findings jsonb NOT NULL DEFAULT '[]',
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id),
    FOREIGN KEY (tenant_id, reviewer_id) REFERENCES users (tenant_id, id)
);

CREATE TABLE ratings (
    tenant_id uuid NOT NULL REFERENCES tenants,
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

CREATE TABLE installs (
    tenant_id uuid NOT NULL REFERENCES tenants,
    id uuid NOT NULL,
    skill_id uuid NOT NULL,
    version_id uuid NOT NULL,
    user_id uuid NOT NULL,
    api_key_id uuid NOT NULL,
    assistant text NOT NULL CHECK (length(assistant) <= 32),
    target text NOT NULL CHECK (length(target) <= 1024),
    -- offered: the files were handed out. confirmed: the caller has them on disk, byte for byte.
    -- mismatched: what the caller has on disk is something else.
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

CREATE TABLE site_settings (
    tenant_id uuid NOT NULL REFERENCES tenants,
    key text NOT NULL CHECK (length(key) BETWEEN 1 AND 100),
    value jsonb NOT NULL,
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, key)
);

-- A published version never changes: only its yank may be written.
CREATE FUNCTION refuse_change_of_published() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'skill_versions'
        AND to_jsonb(OLD) - ARRAY['status', 'yanked_at', 'yank_reason']
          = to_jsonb(NEW) - ARRAY['status', 'yanked_at', 'yank_reason'] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a published version never changes' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER published_versions_stay BEFORE UPDATE ON skill_versions
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published();
CREATE TRIGGER published_files_stay BEFORE UPDATE ON skill_files
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published();
CREATE TRIGGER published_bytes_stay BEFORE UPDATE ON blobs
    FOR EACH ROW EXECUTE FUNCTION refuse_change_of_published();
ALTER TABLE skill_versions ENABLE ALWAYS TRIGGER published_versions_stay;
ALTER TABLE skill_files ENABLE ALWAYS TRIGGER published_files_stay;
ALTER TABLE blobs ENABLE ALWAYS TRIGGER published_bytes_stay;
