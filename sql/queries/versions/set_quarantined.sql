-- versions/set_quarantined: Quarantines or releases the versions with a digest; returns their skills.
UPDATE skill_versions SET quarantined = $3
WHERE tenant_id = $1 AND digest = $2 AND quarantined <> $3
RETURNING skill_id
