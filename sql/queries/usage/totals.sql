-- usage/totals: Sums the calls of a period; the bounds are UUIDv7s, so that the primary key's index finds them.
WITH pairs AS (
    -- Grouped twice instead of count(DISTINCT), which would sort every event.
    SELECT e.user_id, e.skill_id, count(*) AS calls, count(*) FILTER (WHERE e.outcome <> 'ok') AS failed_calls
    FROM usage_events e
    WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
    GROUP BY e.user_id, e.skill_id
), durations AS (
    SELECT percentile_disc(ARRAY[0.5, 0.99]) WITHIN GROUP (ORDER BY e.duration_us) AS us
    FROM usage_events e
    WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
)
SELECT coalesce(sum(p.calls), 0)::bigint AS calls,
       coalesce(sum(p.calls) FILTER (WHERE p.skill_id IS NOT NULL), 0)::bigint AS skill_calls,
       count(DISTINCT p.user_id) AS users,
       count(DISTINCT p.skill_id) AS skills,
       coalesce(sum(p.failed_calls), 0)::bigint AS failed_calls,
       coalesce((SELECT d.us[1] FROM durations d), 0) AS median_us,
       coalesce((SELECT d.us[2] FROM durations d), 0) AS p99_us,
       (SELECT count(*) FROM installs i
        WHERE i.tenant_id = $1 AND i.id >= $2 AND i.id < $3 AND i.state = 'confirmed') AS installs
FROM pairs p
