-- usage/prune: drops the partitions of months that ended before a day; the operator only.
SELECT prune_usage_partitions($1) AS partition
