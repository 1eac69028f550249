-- search/following_blocks: Reads the blocks of the index segment $2 with numbers from $3 to below $4, in order.
SELECT b.bytes
FROM search_blocks b
WHERE b.tenant_id = $1 AND b.segment_id = $2 AND b.number >= $3 AND b.number < $4
ORDER BY b.number
