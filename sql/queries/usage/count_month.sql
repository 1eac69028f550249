-- usage/count_month: Counts a tenant's calls, and those of an API key and the keys it was rotated from and to, before and since event $5. Those from $6 belong to later months.
WITH RECURSIVE chain AS (
    SELECT k.id, k.replaced_by
    FROM api_keys k
    WHERE k.tenant_id = $1 AND k.id = $2
    UNION
    SELECT k.id, k.replaced_by
    FROM chain c
    JOIN api_keys k ON k.tenant_id = $1 AND (k.id = c.replaced_by OR k.replaced_by = c.id)
), called AS (
    SELECT e.id, e.api_key_id IN (SELECT c.id FROM chain c) AS with_key
    FROM usage_events e
    WHERE e.tenant_id = $1 AND e.id >= least($3::uuid, $4::uuid) AND e.id < $6 AND e.outcome <> 'over_limit'
)
SELECT count(*) FILTER (WHERE id >= $3 AND id < $5) AS tenant_settled,
       count(*) FILTER (WHERE id >= $5) AS tenant_recent,
       count(*) FILTER (WHERE with_key AND id >= $4 AND id < $5) AS key_settled,
       count(*) FILTER (WHERE with_key AND id >= $5) AS key_recent
FROM called
