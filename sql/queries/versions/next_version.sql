-- versions/next_version: Finds a skill's highest version ordinal, and whether a version label is taken.
SELECT coalesce(max(v.ordinal), 0) AS last_ordinal, coalesce(bool_or(v.version = $3), false) AS taken
FROM skill_versions v
WHERE v.tenant_id = $1 AND v.skill_id = $2
