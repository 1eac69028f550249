-- usage/by_tool: Counts the calls of a period by tool.
SELECT e.tool, count(*) AS calls, count(*) FILTER (WHERE e.outcome <> 'ok') AS failed
FROM usage_events e
WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
GROUP BY e.tool
ORDER BY calls DESC, e.tool
LIMIT $4
