-- installs/seen: Records what a user's machine has of an install; keeps the machine if $4 is NULL.
UPDATE installs SET device_state = $6, last_seen_at = now(), machine = coalesce($4, machine),
    machine_named = CASE WHEN $4::bytea IS NULL THEN machine_named ELSE $5 END
WHERE tenant_id = $1 AND id = $2 AND user_id = $3
