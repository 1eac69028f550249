-- usage/prune: drops the partitions of months that ended before a day, and tells the tenants' logs; the operator only.
SELECT pruned.partition, pruned.row_count FROM prune_usage_partitions($1, $2) AS pruned
