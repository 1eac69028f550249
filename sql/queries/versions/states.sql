-- versions/states: Lists every version of the skills $2 with its state, oldest first.
SELECT v.id, v.skill_id, v.ordinal, v.version, v.digest, v.status, v.quarantined, v.created_by, v.yank_reason,
       v.published_at IS NOT NULL OR v.status = 'published' AS was_published
FROM skill_versions v
WHERE v.tenant_id = $1 AND v.skill_id = ANY($2)
ORDER BY v.skill_id, v.ordinal
