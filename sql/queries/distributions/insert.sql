-- distributions/insert: Distributes a skill to a group, or to all users.
INSERT INTO distributions (tenant_id, id, skill_id, group_id, version_id, created_by)
VALUES ($1, $2, $3, $4, $5, $6)
