-- usage/stored_days: Lists the days from $2 on that have a summary.
SELECT d.day
FROM usage_days d
WHERE d.tenant_id = $1 AND d.day >= $2
