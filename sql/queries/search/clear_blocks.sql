-- search/clear_blocks: Removes all blocks of the tenant's index.
DELETE FROM search_blocks
WHERE tenant_id = $1
