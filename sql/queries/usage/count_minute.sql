-- usage/count_minute: Counts the calls of a tenant and of one of its API keys since event id $3, which is one minute old.
SELECT count(*) AS of_tenant, count(*) FILTER (WHERE e.api_key_id = $2) AS of_key
FROM usage_events e
WHERE e.tenant_id = $1 AND e.id >= $3 AND e.outcome <> 'over_limit'
