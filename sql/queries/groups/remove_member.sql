-- groups/remove_member: Removes a user from a group.
DELETE FROM user_group_members
WHERE tenant_id = $1 AND group_id = $2 AND user_id = $3
