-- search/list_segments: Lists the index segments of a format.
SELECT s.id, s.revision, s.document_count
FROM search_segments s
WHERE s.tenant_id = $1 AND s.format = $2
ORDER BY s.revision, s.id
