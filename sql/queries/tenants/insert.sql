-- tenants/insert: Creates a tenant, unless the slug is taken.
INSERT INTO tenants (id, slug, name) VALUES ($1, $2, $3)
ON CONFLICT (slug) DO NOTHING
