-- usage/count_minute: how many calls a tenant, and one of its keys, made since an id that is a minute old.
SELECT count(*) AS of_tenant, count(*) FILTER (WHERE e.api_key_id = $2) AS of_key
FROM usage_events e
WHERE e.tenant_id = $1 AND e.id >= $3 AND e.outcome <> 'over_limit'
