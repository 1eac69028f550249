-- usage/searches_without_result: Lists the searches of a period that found nothing or only weak hits, with the filters they used.
SELECT e.arguments ->> 'search_text' AS query, f.filters, count(*) AS searches, bool_and(e.result_count > 0) AS weak
FROM usage_events e
CROSS JOIN LATERAL (
    SELECT coalesce(array_agg(name ORDER BY name), '{}') AS filters
    FROM jsonb_object_keys(e.arguments -> 'sizes') AS name
    WHERE name IN ('author', 'category', 'mine', 'tag')
) f
WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
  AND e.tool = 'search_skills' AND (e.result_count = 0 OR e.arguments ? 'weak') AND e.arguments ? 'search_text'
  -- The last page of a longer result can be empty.
  AND NOT (e.arguments -> 'sizes') ? 'cursor'
GROUP BY 1, 2
ORDER BY searches DESC, query
LIMIT $4
