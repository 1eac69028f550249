-- usage/searches_without_result: Lists the texts of searches in a period that found nothing, most frequent first.
SELECT e.arguments ->> 'search_text' AS query, count(*) AS searches
FROM usage_events e
WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
  AND e.tool = 'search_skills' AND e.result_count = 0 AND e.arguments ? 'search_text'
GROUP BY 1
ORDER BY searches DESC, query
LIMIT $4
