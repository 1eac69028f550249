-- aliases/insert: Keeps a former slug of a skill.
INSERT INTO skill_aliases (tenant_id, slug, skill_id)
VALUES ($1, $2, $3)
