-- usage/totals: Sums the calls of a period; the bounds are UUIDv7s, so that the primary key's index finds them.
SELECT count(*) AS calls,
       count(e.skill_id) AS skill_calls,
       count(DISTINCT e.user_id) AS users,
       count(DISTINCT e.skill_id) AS skills,
       count(*) FILTER (WHERE e.outcome <> 'ok') AS failed_calls,
       coalesce(percentile_disc(0.5) WITHIN GROUP (ORDER BY e.duration_us), 0) AS median_us,
       coalesce(percentile_disc(0.99) WITHIN GROUP (ORDER BY e.duration_us), 0) AS p99_us,
       (SELECT count(*) FROM installs i
        WHERE i.tenant_id = $1 AND i.id >= $2 AND i.id < $3 AND i.state = 'confirmed') AS installs
FROM usage_events e
WHERE e.tenant_id = $1 AND e.id >= $2 AND e.id < $3
