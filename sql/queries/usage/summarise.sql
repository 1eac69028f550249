-- usage/summarise: Summarises the events from $2 in the periods between the bounds $4; the uses until $3 count for the searches before $5.
WITH events AS MATERIALIZED (
    SELECT width_bucket(e.id, $4::uuid[]) AS period, e.id, e.user_id, e.skill_id, e.tool, e.outcome, e.created_at, e.result_count,
           -- In tenths of a millisecond, rounded: the precision of the report.
           ((e.duration_us + 50) / 100)::integer AS duration,
           CASE WHEN e.tool = 'search_skills' AND NOT (e.arguments -> 'sizes') ? 'cursor'
               THEN e.arguments ->> 'search_text' END AS query,
           -- The filters of a search that found nothing or only weak hits; NULL for others.
           CASE WHEN e.tool = 'search_skills' AND (e.result_count = 0 OR e.arguments ? 'weak') THEN (
               SELECT coalesce(string_agg(name, ',' ORDER BY name), '')
               FROM jsonb_object_keys(e.arguments -> 'sizes') AS name
               WHERE name IN ('assistant', 'author', 'category', 'installed', 'min_stars', 'mine', 'tag', 'updated_since')
           ) END AS filters,
           e.outcome = 'ok' AND e.skill_id IS NOT NULL
               AND e.tool IN ('get_skill', 'install_skill', 'record_usage', 'resources/read', 'skills/get', 'prompts/get',
                              'skills/download', 'skills/file') AS is_use
    FROM usage_events e
    WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
), tools AS (
    SELECT g.period, array_agg(g.tool) AS tools, array_agg(g.outcome) AS outcomes, array_agg(g.calls) AS calls
    FROM (SELECT n.period, n.tool, n.outcome, count(*)::integer AS calls FROM events n GROUP BY 1, 2, 3) g
    GROUP BY g.period
), durations AS (
    SELECT g.period, array_agg(g.duration) AS durations, array_agg(g.calls) AS calls
    FROM (SELECT n.period, n.duration, count(*)::integer AS calls FROM events n GROUP BY 1, 2) g
    GROUP BY g.period
), pairs AS (
    SELECT g.period, array_agg(g.user_id) AS users, array_agg(g.skill_id) AS skills, array_agg(g.calls) AS calls
    FROM (SELECT n.period, n.user_id, n.skill_id, count(*)::integer AS calls FROM events n GROUP BY 1, 2, 3) g
    GROUP BY g.period
), empty AS (
    SELECT g.period, array_agg(g.query) AS queries, array_agg(g.filters) AS filters, array_agg(g.weak) AS weak,
           array_agg(g.searches) AS searches
    FROM (
        SELECT n.period, n.query, n.filters, coalesce(bool_and(n.result_count > 0), false) AS weak, count(*)::integer AS searches
        FROM events n
        WHERE n.query IS NOT NULL AND n.filters IS NOT NULL
        GROUP BY 1, 2, 3
    ) g
    GROUP BY g.period
), next_uses AS (
    SELECT n.period, n.id, n.user_id, n.created_at, n.query, n.is_use,
           min(n.created_at) FILTER (WHERE n.is_use) OVER (PARTITION BY n.user_id ORDER BY n.id DESC) AS used_at
    FROM events n
    WHERE n.is_use OR n.query IS NOT NULL AND n.filters IS NULL AND n.result_count > 0
), not_followed AS (
    SELECT g.period, array_agg(g.query) AS queries, array_agg(g.user_id) AS users, array_agg(g.searches) AS searches
    FROM (
        SELECT n.period, lower(btrim(regexp_replace(n.query, '\s+', ' ', 'g'))) AS query, n.user_id, count(*)::integer AS searches
        FROM next_uses n
        WHERE NOT n.is_use AND n.id < $5 AND (n.used_at IS NULL OR n.used_at > n.created_at + interval '30 minutes')
        GROUP BY 1, 2, 3
    ) g
    GROUP BY g.period
)
SELECT t.period, t.tools, t.outcomes, t.calls AS tool_calls, d.durations, d.calls AS duration_calls, p.users AS pair_users,
       p.skills AS pair_skills, p.calls AS pair_calls, coalesce(m.queries, '{}') AS empty_queries,
       coalesce(m.filters, '{}') AS empty_filters, coalesce(m.weak, '{}') AS empty_weak,
       coalesce(m.searches, '{}') AS empty_searches, coalesce(l.queries, '{}') AS lost_queries,
       coalesce(l.users, '{}') AS lost_users, coalesce(l.searches, '{}') AS lost_searches
FROM tools t
JOIN durations d ON d.period = t.period
JOIN pairs p ON p.period = t.period
LEFT JOIN empty m ON m.period = t.period
LEFT JOIN not_followed l ON l.period = t.period
-- Later events are uses only.
WHERE t.period < cardinality($4::uuid[])
ORDER BY t.period
