-- tenants/hold: whether a tenant was erased; if not, it is not until the end of the transaction.
SELECT t.status <> 'erased' AS alive FROM tenants t WHERE t.id = $1 FOR KEY SHARE
