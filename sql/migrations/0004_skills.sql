-- Skills, their immutable versions with files, and reviews.

CREATE TABLE skills (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    slug text NOT NULL CHECK (slug ~ '^[a-z0-9]+(-[a-z0-9]+)*$' AND length(slug) <= 64),
    -- The name in SKILL.md. Two skills of a tenant may share a name, but not a slug.
    name text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    description text NOT NULL CHECK (length(description) <= 1024),
    category text CHECK (length(category) <= 64),
    tags text[] NOT NULL DEFAULT '{}',
    author text CHECK (length(author) <= 200),
    license text CHECK (length(license) <= 200),
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'archived')),
    -- Whether SKILL.md follows every rule of the Agent Skills format; notes lists the deviations.
    conformant boolean NOT NULL,
    notes jsonb NOT NULL DEFAULT '[]',
    -- Path relative to the imported folder. A second import finds the skill by it.
    source text CHECK (length(source) <= 1024),
    latest_version_id uuid,
    -- The tenant's catalog_revision at the last change of this row.
    revision bigint NOT NULL,
    created_by uuid,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, slug),
    UNIQUE (tenant_id, source),
    FOREIGN KEY (tenant_id, created_by) REFERENCES users (tenant_id, id)
);
-- Unique: a search index that continues after a revision would miss a second skill with the same revision.
CREATE UNIQUE INDEX skills_by_revision ON skills (tenant_id, revision);
-- Lists are paged by the bytes of the slug: the same order in every locale.
CREATE INDEX skills_by_slug ON skills (tenant_id, slug COLLATE "C");
CREATE INDEX skills_by_creator ON skills (tenant_id, created_by);

CREATE TABLE skill_versions (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    id uuid NOT NULL,
    skill_id uuid NOT NULL,
    -- 1 for the first version of a skill, then increased by 1.
    ordinal integer NOT NULL CHECK (ordinal > 0),
    -- The author's version label, or the ordinal as text.
    version text NOT NULL CHECK (length(version) BETWEEN 1 AND 64),
    -- Digest of the manifest, which lists the path, digest, size and mode of each file.
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
    -- Target of skills.latest_version_id: the latest version must belong to the skill.
    UNIQUE (tenant_id, skill_id, id),
    FOREIGN KEY (tenant_id, skill_id) REFERENCES skills (tenant_id, id),
    FOREIGN KEY (tenant_id, created_by) REFERENCES users (tenant_id, id)
);
CREATE INDEX skill_versions_by_creator ON skill_versions (tenant_id, created_by);
-- A circular reference: a skill and its first version are inserted in the same transaction.
ALTER TABLE skills ADD CONSTRAINT skills_latest_version_fkey
    FOREIGN KEY (tenant_id, id, latest_version_id) REFERENCES skill_versions (tenant_id, skill_id, id)
    DEFERRABLE INITIALLY DEFERRED;

-- The contents of files, stored once for each tenant and digest.
CREATE TABLE blobs (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    digest bytea NOT NULL CHECK (octet_length(digest) = 32),
    bytes bytea NOT NULL CHECK (octet_length(bytes) <= 16777216),
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, digest),
    CONSTRAINT blobs_digest_of_bytes_check CHECK (digest = sha256(bytes))
);

-- The manifest of each version.
CREATE TABLE skill_files (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    version_id uuid NOT NULL,
    path text COLLATE "C" NOT NULL CHECK (length(path) BETWEEN 1 AND 1024),
    digest bytea NOT NULL,
    size bigint NOT NULL CHECK (size >= 0),
    mode text NOT NULL CHECK (mode IN ('file', 'executable')),
    PRIMARY KEY (tenant_id, version_id, path),
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id),
    FOREIGN KEY (tenant_id, digest) REFERENCES blobs (tenant_id, digest)
);
CREATE INDEX skill_files_by_digest ON skill_files (tenant_id, digest);

-- Published versions are immutable. The only change allowed is to yank a version.
CREATE FUNCTION forbid_published_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'skill_versions'
        AND to_jsonb(OLD) - ARRAY['status', 'yanked_at', 'yank_reason']
          = to_jsonb(NEW) - ARRAY['status', 'yanked_at', 'yank_reason'] THEN
        RETURN NEW;
    END IF;
    RAISE EXCEPTION 'a published version cannot be changed' USING ERRCODE = 'restrict_violation';
END
$$;
REVOKE ALL ON FUNCTION forbid_published_change() FROM PUBLIC;
CREATE TRIGGER forbid_version_update BEFORE UPDATE ON skill_versions
    FOR EACH ROW EXECUTE FUNCTION forbid_published_change();
CREATE TRIGGER forbid_file_update BEFORE UPDATE ON skill_files
    FOR EACH ROW EXECUTE FUNCTION forbid_published_change();
CREATE TRIGGER forbid_blob_update BEFORE UPDATE ON blobs
    FOR EACH ROW EXECUTE FUNCTION forbid_published_change();
-- ALWAYS: session_replication_role must not disable them.
ALTER TABLE skill_versions ENABLE ALWAYS TRIGGER forbid_version_update;
ALTER TABLE skill_files ENABLE ALWAYS TRIGGER forbid_file_update;
ALTER TABLE blobs ENABLE ALWAYS TRIGGER forbid_blob_update;

CREATE TABLE skill_embeddings (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
    version_id uuid NOT NULL,
    model text NOT NULL CHECK (length(model) BETWEEN 1 AND 100),
    dimensions integer NOT NULL CHECK (dimensions BETWEEN 1 AND 4096),
    -- One signed byte for each dimension: read ten times faster than an array of floats.
    vector bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant_id, version_id, model),
    FOREIGN KEY (tenant_id, version_id) REFERENCES skill_versions (tenant_id, id),
    CONSTRAINT skill_embeddings_vector_length_check CHECK (octet_length(vector) = dimensions)
);

CREATE TABLE skill_reviews (
    tenant_id uuid NOT NULL REFERENCES tenants (active_tenant_id),
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
CREATE INDEX skill_reviews_by_version ON skill_reviews (tenant_id, version_id);
CREATE INDEX skill_reviews_by_reviewer ON skill_reviews (tenant_id, reviewer_id);
