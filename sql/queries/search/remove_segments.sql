-- search/remove_segments: Removes the index segments $2 with their blocks, which were merged into another.
DELETE FROM search_segments
WHERE tenant_id = $1 AND id = ANY($2)
