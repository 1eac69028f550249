-- usage/feedback_by_skill: Sums the feedback of a period by skill.
SELECT r.skill_id,
       count(*) FILTER (WHERE r.outcome = 'helped') AS helped,
       count(*) FILTER (WHERE r.outcome = 'failed') AS failed,
       count(*) FILTER (WHERE r.outcome = 'stale') AS stale,
       coalesce(sum(r.minutes_saved), 0)::bigint AS minutes_saved,
       coalesce(sum(r.tokens), 0)::bigint AS tokens
FROM skill_feedback r
WHERE r.tenant_id = $1 AND r.id >= $2 AND r.id < $3
GROUP BY r.skill_id
