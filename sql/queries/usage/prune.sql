-- usage/prune: Drops the partitions of months that ended before a day, and writes that to the tenants' audit logs (admin role).
SELECT pruned.partition, pruned.row_count FROM prune_usage_partitions($1, $2) AS pruned
