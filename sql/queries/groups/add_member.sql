-- groups/add_member: Adds a user to a group.
INSERT INTO user_group_members (tenant_id, group_id, user_id)
VALUES ($1, $2, $3)
ON CONFLICT (tenant_id, group_id, user_id) DO NOTHING
