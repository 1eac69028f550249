-- skills/set_deprecation: Deprecates a skill, or lifts the deprecation if $3 is NULL.
UPDATE skills SET deprecated_at = CASE WHEN $3::text IS NOT NULL THEN coalesce(deprecated_at, now()) END,
    deprecation_note = $3, successor_id = $4, revision = $5, updated_at = now()
WHERE tenant_id = $1 AND id = $2
