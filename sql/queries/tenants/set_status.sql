-- tenants/set_status: Suspends or resumes a tenant.
UPDATE tenants SET status = $2, updated_at = now() WHERE id = $1 AND status NOT IN ($2, 'erased')
