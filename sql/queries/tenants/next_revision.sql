-- tenants/next_revision: Increments the catalog revision and reads the stored bytes; locks out other publishers of the tenant until the commit.
UPDATE tenants SET catalog_revision = catalog_revision + 1, updated_at = now()
WHERE id = $1
RETURNING catalog_revision, stored_bytes
