-- pg_catalog/usage_months: Lists the months that have a partition of usage events, and reads the database's clock.
SELECT array_agg(right(c.relname::text, 7)) AS months, clock_timestamp() AS clock
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'public.usage_events'::regclass AND c.relname ~ '^usage_events_\d{4}_\d{2}$'
