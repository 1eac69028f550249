-- catalogue/partition: whether the usage events of this moment and of a month from now have a partition.
SELECT to_regclass('public.usage_events_' || to_char(now() AT TIME ZONE 'UTC', 'YYYY_MM')) IS NOT NULL AS this_month,
       to_regclass('public.usage_events_' || to_char((now() AT TIME ZONE 'UTC') + interval '1 month', 'YYYY_MM'))
           IS NOT NULL AS next_month,
       clock_timestamp() AS clock
