-- installs/insert: Records that the files of a version were sent to a caller.
INSERT INTO installs (tenant_id, id, skill_id, version_id, user_id, api_key_id, assistant, target)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
