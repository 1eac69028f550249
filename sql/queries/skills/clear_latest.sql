-- skills/clear_latest: Records that a skill has no version left that may be installed.
UPDATE skills SET latest_version_id = NULL, revision = $3, updated_at = now()
WHERE tenant_id = $1 AND id = $2
