-- catalogue/partition: whether the usage events of this moment and of a month from now have a partition.
WITH months AS (
    SELECT c.relname::text AS name
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.usage_events'::regclass
)
SELECT 'usage_events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM') IN (SELECT name FROM months) AS this_month,
       'usage_events_' || to_char((date_trunc('month', now() AT TIME ZONE 'UTC')) + interval '1 month', 'YYYY_MM')
           IN (SELECT name FROM months) AS next_month,
       clock_timestamp() AS clock
