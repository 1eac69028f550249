-- keys/set_limits: how many calls a key may make in a minute and in a month.
UPDATE api_keys SET calls_per_minute = $3, calls_per_month = $4
WHERE tenant_id = $1 AND id = $2
