-- installs/set_state: Records the digest that the caller has on disk.
UPDATE installs SET state = $3, reported_digest = $4, reported_at = now(), last_seen_at = now(),
    device_state = CASE WHEN $3 = 'confirmed' THEN 'live' ELSE 'drifted' END
WHERE tenant_id = $1 AND id = $2
