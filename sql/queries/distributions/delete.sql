-- distributions/delete: Ends the distribution of a skill to a group, or to all users.
DELETE FROM distributions
WHERE tenant_id = $1 AND skill_id = $2 AND group_id IS NOT DISTINCT FROM $3
