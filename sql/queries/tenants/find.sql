-- tenants/find: a tenant by its slug, for the operator.
SELECT id, slug, name, status, created_at FROM tenants WHERE slug = $1
