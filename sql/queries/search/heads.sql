-- search/heads: Reads the index segments $2 without their blocks, to merge them.
SELECT s.id, s.documents, s.directory, s.vocabulary, s.document_words
FROM search_segments s
WHERE s.tenant_id = $1 AND s.id = ANY($2)
