-- groups/insert: Creates a group of users.
INSERT INTO user_groups (tenant_id, id, name)
VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, name) DO NOTHING
