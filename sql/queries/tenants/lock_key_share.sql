-- tenants/lock_key_share: Reads whether a tenant is not erased, and prevents its erasure until the end of the transaction.
SELECT t.status <> 'erased' AS not_erased FROM tenants t WHERE t.id = $1 FOR KEY SHARE
