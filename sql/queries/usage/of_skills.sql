-- usage/of_skills: Counts the confirmed installs, the feedback and the ratings of several skills, and finds which were reviewed.
SELECT s.id AS skill_id,
       coalesce(c.installs, 0) AS installs,
       coalesce(f.helped, 0) AS helped,
       coalesce(f.failed, 0) AS failed,
       coalesce(g.ratings, 0) AS ratings,
       g.stars,
       EXISTS (
           SELECT FROM skill_reviews w
           WHERE w.tenant_id = $1 AND w.version_id = s.latest_version_id AND w.verdict = 'approved'
       ) AS reviewed
FROM skills s
LEFT JOIN (
    SELECT i.skill_id, count(*) AS installs
    FROM installs i
    WHERE i.tenant_id = $1 AND i.skill_id = ANY($2) AND i.state = 'confirmed'
    GROUP BY i.skill_id
) c ON c.skill_id = s.id
LEFT JOIN (
    SELECT u.skill_id,
           count(*) FILTER (WHERE u.outcome = 'helped') AS helped,
           count(*) FILTER (WHERE u.outcome = 'failed') AS failed
    FROM skill_feedback u
    WHERE u.tenant_id = $1 AND u.skill_id = ANY($2)
    GROUP BY u.skill_id
) f ON f.skill_id = s.id
LEFT JOIN (
    SELECT r.skill_id, count(*) AS ratings, avg(r.stars)::float8 AS stars
    FROM ratings r
    WHERE r.tenant_id = $1 AND r.skill_id = ANY($2) AND r.withdrawn_at IS NULL
    GROUP BY r.skill_id
) g ON g.skill_id = s.id
WHERE s.tenant_id = $1 AND s.id = ANY($2)
