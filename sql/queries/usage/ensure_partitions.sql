-- usage/ensure_partitions: Creates the missing usage event partitions up to three months ahead.
SELECT public.ensure_usage_partitions(3) AS created
