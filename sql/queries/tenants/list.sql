-- tenants/list: every tenant, for the operator.
SELECT id, slug, name, status, created_at FROM tenants ORDER BY slug
