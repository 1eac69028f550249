-- settings/reset: Returns a setting to its default.
DELETE FROM tenant_settings
WHERE tenant_id = $1 AND key = $2
