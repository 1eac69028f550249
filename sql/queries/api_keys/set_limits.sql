-- api_keys/set_limits: Sets how many calls an API key may make per minute and per month; NULL means unlimited.
UPDATE api_keys SET calls_per_minute = $3, calls_per_month = $4
WHERE tenant_id = $1 AND id = $2
