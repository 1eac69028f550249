-- search/take_blocks: Removes the blocks of the index segments $2 and returns them.
DELETE FROM search_blocks b
WHERE b.tenant_id = $1 AND b.segment_id = ANY($2)
RETURNING b.segment_id, b.number, b.bytes
