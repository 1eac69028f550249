-- installs/find: Finds and locks one of the user's installs, with the version that was sent and the latest one.
SELECT i.id, i.skill_id, i.version_id, i.state, i.target, s.slug, v.version, v.digest, v.quarantined,
       CASE WHEN v.status = 'yanked' THEN coalesce(v.yank_reason, '') END AS yanked, l.version AS latest_version
FROM installs i
JOIN skills s ON s.tenant_id = i.tenant_id AND s.id = i.skill_id
JOIN skill_versions v ON v.tenant_id = i.tenant_id AND v.id = i.version_id
LEFT JOIN skill_versions l ON l.tenant_id = s.tenant_id AND l.id = s.latest_version_id
WHERE i.tenant_id = $1 AND i.id = $2 AND i.user_id = $3
FOR UPDATE OF i
