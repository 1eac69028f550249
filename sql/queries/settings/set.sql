-- settings/set: Stores a setting.
INSERT INTO tenant_settings (tenant_id, key, value)
VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, key) DO UPDATE SET value = excluded.value, updated_at = now()
