-- embeddings/next_revision: Increments the revision of the embeddings; locks out others who store embeddings of the tenant until the commit.
UPDATE tenants SET embeddings_revision = embeddings_revision + 1
WHERE id = $1
RETURNING embeddings_revision
