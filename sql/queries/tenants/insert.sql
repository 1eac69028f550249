-- tenants/insert: Creates a tenant, unless the slug is taken.
INSERT INTO tenants (id, slug, name, calls_per_minute, calls_per_month) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (slug) DO NOTHING
