-- search/clear_segments: Removes all segments of the tenant's index, which have no blocks any more.
DELETE FROM search_segments
WHERE tenant_id = $1
