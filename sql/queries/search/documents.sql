-- search/documents: Reads the documents and directories of the index segments $2.
SELECT s.id, s.documents, s.directory
FROM search_segments s
WHERE s.tenant_id = $1 AND s.id = ANY($2)
ORDER BY s.revision, s.id
