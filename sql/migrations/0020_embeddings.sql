-- Embeddings as searches use them: with the hash of what was embedded, and in the order in which they were stored.

-- No version before this one stored embeddings, and they can be computed again. No policy binds TRUNCATE.
TRUNCATE skill_embeddings;

ALTER TABLE skill_embeddings
    DROP CONSTRAINT skill_embeddings_model_check,
    ADD CONSTRAINT skill_embeddings_model_check CHECK (length(model) BETWEEN 1 AND 200),
    -- Vectors one after the other, of the description and of passages of the text. Each has four bytes for the scale, and one signed
    -- byte for each dimension.
    DROP CONSTRAINT skill_embeddings_vector_length_check,
    ADD CONSTRAINT skill_embeddings_vector_length_check
        CHECK (octet_length(vector) > 0 AND octet_length(vector) % (dimensions + 4) = 0),
    -- SHA-256 of the model's name and the embedded texts.
    ADD COLUMN input_hash bytea NOT NULL CHECK (octet_length(input_hash) = 32),
    -- The tenant's embeddings_revision at which the row was stored.
    ADD COLUMN revision bigint NOT NULL,
    -- Numbers of a model do not compress.
    ALTER COLUMN vector SET STORAGE EXTERNAL;
CREATE INDEX skill_embeddings_by_revision ON skill_embeddings (tenant_id, model, revision);

-- Number of times that embeddings of the tenant were stored. Each time locks this row until the commit, so revisions become
-- visible in order: a process that has read revision n has missed no earlier embedding.
ALTER TABLE tenants ADD COLUMN embeddings_revision bigint NOT NULL DEFAULT 0;
GRANT UPDATE (embeddings_revision) ON tenants TO skillkeep_app, skillkeep_admin;

-- Embeddings are derived from the skills and can be computed again, as the search index.
GRANT DELETE ON skill_embeddings TO skillkeep_app, skillkeep_admin;
