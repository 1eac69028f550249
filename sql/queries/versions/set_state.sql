-- versions/set_state: Moves a version from state $3 to state $4; changes no row if it is in another state.
UPDATE skill_versions SET status = $4,
    published_at = CASE WHEN $4 = 'published' THEN coalesce(published_at, now())
                        WHEN $3 = 'published' THEN coalesce(published_at, created_at) ELSE published_at END,
    yanked_at = CASE WHEN $4 = 'yanked' THEN now() END, yank_reason = $5
WHERE tenant_id = $1 AND id = $2 AND status = $3
