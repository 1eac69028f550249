-- installs/set_state: what the caller really has on disk.
UPDATE installs SET state = $3, reported_digest = $4, reported_at = now()
WHERE tenant_id = $1 AND id = $2
