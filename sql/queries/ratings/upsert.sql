-- ratings/upsert: Stores or changes a user's rating of a skill.
INSERT INTO ratings (tenant_id, id, skill_id, user_id, stars, comment, used)
VALUES ($1, $2, $3, $4, $5, $6, $7)
ON CONFLICT (tenant_id, skill_id, user_id) DO UPDATE SET stars = excluded.stars, comment = excluded.comment,
    used = excluded.used, withdrawn_at = NULL, updated_at = now()
RETURNING (xmax = 0) AS created
