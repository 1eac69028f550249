-- skills/details: Reads one skill by slug, in version $3 or else the latest, with its ratings, installs and feedback.
SELECT s.id, s.slug, s.name, s.description, s.category, s.tags, s.author, s.license, s.conformant, s.notes,
       s.created_at, s.updated_at,
       v.id AS version_id, v.version, v.digest, v.front_matter, v.file_count, v.total_bytes, v.status AS version_status,
       v.yank_reason, v.created_at AS version_created_at,
       (SELECT count(*) FROM ratings r WHERE r.tenant_id = $1 AND r.skill_id = s.id AND r.withdrawn_at IS NULL) AS ratings,
       (SELECT avg(r.stars)::float8 FROM ratings r WHERE r.tenant_id = $1 AND r.skill_id = s.id AND r.withdrawn_at IS NULL) AS stars,
       (SELECT count(*) FROM installs i WHERE i.tenant_id = $1 AND i.skill_id = s.id AND i.state = 'confirmed') AS installs,
       (SELECT count(*) FROM skill_feedback u WHERE u.tenant_id = $1 AND u.skill_id = s.id AND u.outcome = 'helped') AS helped,
       (SELECT count(*) FROM skill_feedback u WHERE u.tenant_id = $1 AND u.skill_id = s.id AND u.outcome = 'failed') AS failed,
       (SELECT count(*) FROM skill_feedback u WHERE u.tenant_id = $1 AND u.skill_id = s.id AND u.outcome = 'stale') AS stale,
       (SELECT w.verdict FROM skill_reviews w WHERE w.tenant_id = $1 AND w.version_id = v.id AND w.counted
        ORDER BY w.id DESC LIMIT 1) AS review
FROM skills s
JOIN skill_versions v ON v.tenant_id = s.tenant_id AND v.skill_id = s.id
    AND CASE WHEN $3::text IS NULL THEN v.id = coalesce(s.latest_version_id, (
            SELECT w.id FROM skill_versions w WHERE w.tenant_id = $1 AND w.skill_id = s.id ORDER BY w.ordinal DESC LIMIT 1))
        ELSE v.version = $3 END
WHERE s.tenant_id = $1 AND (s.slug = $2 OR s.id = (SELECT a.skill_id FROM skill_aliases a WHERE a.tenant_id = $1 AND a.slug = $2))
  AND (s.status = 'active' AND (v.status = 'published' OR v.status = 'yanked' AND v.published_at IS NOT NULL) AND NOT v.quarantined
       OR s.owner_id = $4 OR v.created_by = $4 OR $5)
