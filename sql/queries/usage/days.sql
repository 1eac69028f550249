-- usage/days: Reads the summaries of the days from $2 to $3, without those of a month that is being removed.
SELECT d.day, d.tools, d.outcomes, d.tool_calls, d.durations, d.duration_calls, d.pair_users, d.pair_skills, d.pair_calls,
       d.empty_queries, d.empty_filters, d.empty_weak, d.empty_searches, d.lost_queries, d.lost_users, d.lost_searches
FROM usage_days d
WHERE d.tenant_id = $1 AND d.day >= $2 AND d.day <= $3
  AND d.day >= (
      SELECT min(to_date(right(c.relname, 7), 'YYYY_MM'))
      FROM pg_catalog.pg_inherits h
      JOIN pg_catalog.pg_class c ON c.oid = h.inhrelid
      WHERE h.inhparent = 'public.usage_events'::regclass
  )
ORDER BY d.day
