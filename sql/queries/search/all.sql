-- search/all: Reads the index segments of a format with their blocks in order, to compare them with the catalog.
SELECT s.id, s.documents, s.directory, s.vocabulary, s.document_words,
       (SELECT coalesce(array_agg(b.bytes ORDER BY b.number), '{}') FROM search_blocks b
            WHERE b.tenant_id = $1 AND b.segment_id = s.id) AS blocks
FROM search_segments s
WHERE s.tenant_id = $1 AND s.format = $2
ORDER BY s.revision, s.id
