-- usage/by_skill: Sums a period by skill: calls, users, confirmed installs and feedback; ordered by the number that $5 names.
WITH pairs AS (
    -- Grouped twice instead of count(DISTINCT), which would sort every event.
    SELECT e.skill_id, e.user_id, count(*) AS calls
    FROM usage_events e
    WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3 AND e.skill_id IS NOT NULL
    GROUP BY e.skill_id, e.user_id
), calls AS (
    SELECT p.skill_id, sum(p.calls)::bigint AS calls, count(p.user_id) AS users
    FROM pairs p
    GROUP BY p.skill_id
), feedback AS (
    SELECT r.skill_id,
           count(*) FILTER (WHERE r.outcome = 'helped') AS helped,
           count(*) FILTER (WHERE r.outcome = 'failed') AS failed,
           count(*) FILTER (WHERE r.outcome = 'stale') AS stale,
           coalesce(sum(r.minutes_saved), 0)::bigint AS minutes_saved
    FROM skill_feedback r
    WHERE r.tenant_id = $1 AND r.id >= $2 AND r.id < $3
    GROUP BY r.skill_id
), confirmed AS (
    SELECT i.skill_id, count(*) FILTER (WHERE i.state = 'confirmed') AS installs
    FROM installs i
    WHERE i.tenant_id = $1 AND i.id >= $2 AND i.id < $3
    GROUP BY i.skill_id
), sums AS (
    SELECT coalesce(c.skill_id, r.skill_id, p.skill_id) AS skill_id,
           coalesce(c.calls, 0) AS calls,
           coalesce(c.users, 0) AS users,
           coalesce(p.installs, 0) AS installs,
           coalesce(r.helped, 0) AS helped,
           coalesce(r.failed, 0) AS failed,
           coalesce(r.stale, 0) AS stale,
           coalesce(r.minutes_saved, 0) AS minutes_saved
    FROM calls c
    FULL JOIN feedback r ON r.skill_id = c.skill_id
    FULL JOIN confirmed p ON p.skill_id = coalesce(c.skill_id, r.skill_id)
)
-- Calls about a skill that no longer exists count in the totals, so they have a row too.
SELECT coalesce(s.slug, '(removed)') AS slug, n.calls, n.users, n.installs, n.helped, n.failed, n.stale, n.minutes_saved
FROM sums n
LEFT JOIN skills s ON s.tenant_id = $1 AND s.id = n.skill_id
ORDER BY CASE $5::text WHEN 'users' THEN n.users WHEN 'installs' THEN n.installs WHEN 'helped' THEN n.helped ELSE n.calls END DESC,
         n.calls DESC, n.minutes_saved DESC, slug
LIMIT $4
