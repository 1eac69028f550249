-- denied/delete: Removes a digest from the denylist.
DELETE FROM denied_digests
WHERE tenant_id = $1 AND digest = $2
