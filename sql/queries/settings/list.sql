-- settings/list: Lists the settings that were changed from their defaults.
SELECT t.key, t.value
FROM tenant_settings t
WHERE t.tenant_id = $1
ORDER BY t.key
