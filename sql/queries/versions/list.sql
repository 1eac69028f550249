-- versions/list: Lists those of a skill's versions that user $4 may see (all of them if $5), newest first.
SELECT v.id, v.version, v.digest, v.file_count, v.total_bytes, v.status, v.quarantined, v.change_note, v.yank_reason,
       v.created_at, v.published_at, u.email AS created_by_email
FROM skills s
JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.skill_id = s.id
LEFT JOIN users u ON u.tenant_id = v.tenant_id AND u.id = v.created_by
WHERE s.tenant_id = $1 AND (s.slug = $2 OR s.id = (SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = $2))
  AND (s.status = 'active' AND (v.status = 'published' OR v.status = 'yanked' AND v.published_at IS NOT NULL) AND NOT v.quarantined
       OR s.owner_id = $4 OR v.created_by = $4 OR $5)
ORDER BY v.ordinal DESC
LIMIT $3
