-- skills/find: Finds a skill by slug, and its version $3 or else the latest.
SELECT s.id, s.slug, s.name, v.id AS version_id, v.version, v.digest, v.status AS version_status, v.yank_reason
FROM skills s
JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.skill_id = s.id
    AND CASE WHEN $3::text IS NULL THEN v.id = coalesce(s.latest_version_id, (
            SELECT w.id FROM skill_versions w WHERE w.tenant_id = $1 AND w.skill_id = s.id ORDER BY w.ordinal DESC LIMIT 1))
        ELSE v.version = $3 END
WHERE s.tenant_id = $1 AND (s.slug = $2 OR s.id = (SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = $2))
  AND (s.status = 'active' AND (v.status = 'published' OR v.status = 'yanked' AND v.published_at IS NOT NULL) AND NOT v.quarantined
       OR s.owner_id = $4 OR v.created_by = $4 OR $5)
