-- search/vocabularies: Reads the words of the index segments $2.
SELECT s.id, s.vocabulary
FROM search_segments s
WHERE s.tenant_id = $1 AND s.id = ANY($2)
