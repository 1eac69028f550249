-- tenants/set_status: suspends a tenant or lets it work again.
UPDATE tenants SET status = $2, updated_at = now() WHERE id = $1 AND status NOT IN ($2, 'erased')
