-- pg_catalog/partitions_and_clock: Checks that usage_events has partitions for this and the next month, and reads the database's clock.
WITH months AS (
    SELECT c.relname::text AS name
    FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
    WHERE i.inhparent = 'public.usage_events'::regclass
)
SELECT 'usage_events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM') IN (SELECT name FROM months) AS this_month,
       'usage_events_' || to_char((date_trunc('month', now() AT TIME ZONE 'UTC')) + interval '1 month', 'YYYY_MM')
           IN (SELECT name FROM months) AS next_month,
       clock_timestamp() AS clock
