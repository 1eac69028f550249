-- tenants/next_revision: counts a change of the catalogue; locks the tenant's publishers out until the commit.
UPDATE tenants SET catalogue_revision = catalogue_revision + 1, updated_at = now()
WHERE id = $1
RETURNING catalogue_revision
