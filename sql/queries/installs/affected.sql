-- installs/affected: Counts users, machines and copies of the version $2 by assistant, over the newest install in each place; the row without an assistant is the total.
SELECT i.assistant, count(DISTINCT i.user_id) AS users, count(DISTINCT i.machine) AS machines,
       count(*) FILTER (WHERE i.has_files) AS copies,
       count(*) FILTER (WHERE i.has_files AND i.device_state = 'live') AS live,
       count(*) FILTER (WHERE NOT i.has_files AND i.device_state IS NULL) AS offered
FROM (
    SELECT DISTINCT ON (r.user_id, r.machine, r.assistant, r.target)
           r.version_id, r.user_id, r.machine, r.assistant, r.device_state,
           (r.state <> 'offered' OR r.device_state IS NOT NULL) AND r.device_state IS DISTINCT FROM 'removed' AS has_files
    FROM installs r
    WHERE r.tenant_id = $1 AND r.skill_id = (SELECT v.skill_id FROM skill_versions v WHERE v.tenant_id = $1 AND v.id = $2)
    ORDER BY r.user_id, r.machine, r.assistant, r.target, r.state = 'offered' AND r.device_state IS NULL, r.id DESC
) i
WHERE i.version_id = $2 AND i.device_state IS DISTINCT FROM 'removed'
GROUP BY ROLLUP (i.assistant)
ORDER BY i.assistant NULLS FIRST
