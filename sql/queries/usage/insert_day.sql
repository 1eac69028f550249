-- usage/insert_day: Stores the summary of a day that ended at least two hours ago, unless another report stored it.
INSERT INTO usage_days (
    tenant_id, day, tools, outcomes, tool_calls, durations, duration_calls, pair_users, pair_skills, pair_calls, empty_queries,
    empty_filters, empty_weak, empty_searches, lost_queries, lost_users, lost_searches
)
SELECT $1::uuid, $2::date, $3::text[], $4::text[], $5::integer[], $6::integer[], $7::integer[], $8::uuid[], $9::uuid[],
       $10::integer[], $11::text[], $12::text[], $13::boolean[], $14::integer[], $15::text[], $16::uuid[], $17::integer[]
WHERE $2::date + interval '26 hours' <= now() AT TIME ZONE 'UTC'
ON CONFLICT (tenant_id, day) DO NOTHING
