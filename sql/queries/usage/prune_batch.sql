-- usage/prune_batch: Writes the audit entries of a detached month for up to $3 tenants, and drops it after the last (admin role).
SELECT pruned.partition, pruned.dropped FROM prune_detached_month($1, $2, $3) AS pruned
