-- pg_catalog/partition_bounds: Lists the usage event partitions whose bounds are not exactly the month in their name.
WITH partitions AS (
    SELECT c.oid::regclass::text AS name, pg_catalog.pg_get_expr(c.relpartbound, c.oid) AS bounds,
           CASE WHEN c.relname ~ '^usage_events_\d{4}_(0[1-9]|1[0-2])$'
                THEN to_date(right(c.relname, 7), 'YYYY_MM')::timestamp END AS month
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.usage_events'::regclass
)
SELECT p.name, p.bounds
FROM partitions p
-- Repeats the expression of usage_partition_bound, which only its owner may call.
WHERE p.bounds IS DISTINCT FROM (
    SELECT format('FOR VALUES FROM (%L) TO (%L)', min(bound), max(bound))
    FROM (
        SELECT rpad(lpad(to_hex((extract(epoch FROM month_start AT TIME ZONE 'UTC') * 1000)::bigint), 12, '0'), 32, '0')::uuid::text AS bound
        FROM unnest(ARRAY[p.month, p.month + interval '1 month']) month_start
    ) bounds)
ORDER BY p.name
