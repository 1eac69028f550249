-- usage/searches_not_followed: Lists the searches of a period before $5 whose hits their user neither read, installed nor reported within 30 minutes.
WITH calls AS (
    SELECT e.id, e.user_id, e.created_at, e.skill_id IS NOT NULL AS is_use,
           -- A search without hits or with weak ones is in usage/searches_without_result.
           CASE WHEN e.skill_id IS NULL AND e.result_count > 0 AND NOT e.arguments ? 'weak'
                     AND NOT (e.arguments -> 'sizes') ? 'cursor'
               THEN e.arguments ->> 'search_text' END AS query
    FROM usage_events e
    WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3 AND e.outcome = 'ok'
      AND (e.tool = 'search_skills'
           OR e.skill_id IS NOT NULL AND e.tool IN ('get_skill', 'install_skill', 'record_usage', 'resources/read', 'skills/get',
                                                    'prompts/get', 'skills/download', 'skills/file'))
), next_uses AS (
    SELECT c.id, c.user_id, c.created_at, c.query,
           min(c.created_at) FILTER (WHERE c.is_use) OVER (PARTITION BY c.user_id ORDER BY c.id DESC) AS used_at
    FROM calls c
), texts AS (
    SELECT n.query, n.user_id, count(*) AS searches
    FROM next_uses n
    WHERE n.query IS NOT NULL AND n.id < $5
      AND (n.used_at IS NULL OR n.used_at > n.created_at + interval '30 minutes')
    GROUP BY n.query, n.user_id
)
SELECT lower(btrim(regexp_replace(t.query, '\s+', ' ', 'g'))) AS query, sum(t.searches)::bigint AS searches,
       count(DISTINCT t.user_id) AS users
FROM texts t
GROUP BY 1
ORDER BY searches DESC, query
LIMIT $4
