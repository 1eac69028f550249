-- search/insert_segment: Adds an index segment.
INSERT INTO search_segments (tenant_id, id, format, revision, document_count, documents, directory, vocabulary, document_words)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
