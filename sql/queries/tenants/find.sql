-- tenants/find: Finds a tenant by slug (admin role).
SELECT id, slug, name, status, calls_per_minute, calls_per_month, search_text, stored_bytes, created_at FROM tenants WHERE slug = $1
