-- tenants/update: Sets a tenant's name, its limits, and what usage events keep of searches.
UPDATE tenants SET name = $2, calls_per_minute = $3, calls_per_month = $4, search_text = $5, updated_at = now()
WHERE id = $1
