-- usage/by_tool: Counts the calls of a period by tool and outcome.
SELECT e.tool, e.outcome, count(*) AS calls
FROM usage_events e
WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
GROUP BY e.tool, e.outcome
ORDER BY calls DESC, e.tool, e.outcome
LIMIT 100
