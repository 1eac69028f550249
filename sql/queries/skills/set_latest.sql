-- skills/set_latest: Updates a skill from the manifest of its newest version.
UPDATE skills
SET latest_version_id = $3, name = $4, description = $5, category = $6, tags = $7, author = $8, license = $9,
    conformant = $10, notes = $11, revision = $12, updated_at = now()
WHERE tenant_id = $1 AND id = $2
