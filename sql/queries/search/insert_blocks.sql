-- search/insert_blocks: Adds the blocks $3 of an index segment, numbered from $4.
INSERT INTO search_blocks (tenant_id, segment_id, number, bytes)
SELECT $1, $2, $4 + (block.place - 1)::integer, block.bytes
FROM unnest($3::bytea[]) WITH ORDINALITY AS block (bytes, place)
