-- search/clear_old: Removes index segments of older formats than $2, with their blocks.
DELETE FROM search_segments
WHERE tenant_id = $1 AND format < $2
