-- usage/by_outcome: Counts the calls of a period by outcome.
SELECT e.outcome, count(*) AS calls
FROM usage_events e
WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
GROUP BY e.outcome
ORDER BY calls DESC, e.outcome
