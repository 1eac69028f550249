-- installs/current: Lists the newest install in each place (user, machine, assistant, folder, skill) of the skill $2, the user $3 and the version $4, if given; the newest $5.
SELECT s.slug, v.version, u.email, i.machine, i.machine_named, i.assistant, i.target, i.state, i.device_state, i.created_at,
       coalesce(i.last_seen_at, i.reported_at) AS seen_at, v.status = 'yanked' AS yanked, v.quarantined
FROM (
    SELECT DISTINCT ON (r.user_id, r.machine, r.assistant, r.target, r.skill_id)
           r.tenant_id, r.id, r.skill_id, r.version_id, r.user_id, r.machine, r.machine_named, r.assistant, r.target, r.state,
           r.device_state, r.created_at, r.last_seen_at, r.reported_at
    FROM installs r
    WHERE r.tenant_id = $1
    ORDER BY r.user_id, r.machine, r.assistant, r.target, r.skill_id, r.state = 'offered' AND r.device_state IS NULL, r.id DESC
) i
JOIN skills s ON s.tenant_id = i.tenant_id AND s.id = i.skill_id
JOIN skill_versions v ON v.tenant_id = i.tenant_id AND v.id = i.version_id
JOIN users u ON u.tenant_id = i.tenant_id AND u.id = i.user_id
WHERE s.tenant_id = $1 AND ($2::text IS NULL OR s.slug = $2) AND ($3::text IS NULL OR u.email = $3) AND ($4::text IS NULL OR v.version = $4)
ORDER BY coalesce(i.last_seen_at, i.reported_at, i.created_at) DESC, i.id DESC
LIMIT $5
