-- search/blocks: Reads blocks of postings: of each segment of $2, the block with the number at the same place in $3.
SELECT b.segment_id, b.number, b.bytes
FROM search_blocks b
JOIN unnest($2::uuid[], $3::integer[]) AS wanted (segment_id, number) USING (segment_id, number)
WHERE b.tenant_id = $1
