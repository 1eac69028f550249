-- tenants/lock: Reads a tenant and locks its row against changes until the end of the transaction.
SELECT t.id, t.slug, t.name, t.status, t.calls_per_minute, t.calls_per_month, t.search_text, t.stored_bytes, t.created_at
FROM tenants t
WHERE t.id = $1
FOR NO KEY UPDATE
