-- usage/ensure_partitions: creates the partitions of the coming three months that do not exist yet.
SELECT ensure_usage_partitions(3) AS made
