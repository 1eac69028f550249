-- search/take_segments: Removes the index segments $2, which have no blocks any more, and returns them.
DELETE FROM search_segments s
WHERE s.tenant_id = $1 AND s.id = ANY($2)
RETURNING s.id, s.revision, s.documents, s.directory, s.vocabulary, s.document_words
