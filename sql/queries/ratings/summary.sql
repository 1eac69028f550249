-- ratings/summary: Counts the ratings of a skill, and finds whether user $3 installed it or reported on it.
SELECT (SELECT count(*) FROM ratings r WHERE r.tenant_id = $1 AND r.skill_id = $2 AND r.withdrawn_at IS NULL) AS ratings,
       (SELECT avg(r.stars)::float8 FROM ratings r WHERE r.tenant_id = $1 AND r.skill_id = $2 AND r.withdrawn_at IS NULL) AS stars,
       EXISTS (SELECT FROM installs i WHERE i.tenant_id = $1 AND i.skill_id = $2 AND i.user_id = $3)
       OR EXISTS (SELECT FROM skill_feedback f WHERE f.tenant_id = $1 AND f.skill_id = $2 AND f.user_id = $3) AS used
