-- usage/ensure_partitions: creates the partitions of the coming three months that do not exist yet.
SELECT public.ensure_usage_partitions(3) AS made
