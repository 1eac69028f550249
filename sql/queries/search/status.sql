-- search/status: Counts the index segments of a format, and what they hold.
SELECT (SELECT count(*) FROM search_segments s WHERE s.tenant_id = $1 AND s.format = $2) AS segments,
       (SELECT coalesce(max(s.revision), 0) FROM search_segments s WHERE s.tenant_id = $1 AND s.format = $2) AS revision,
       (SELECT coalesce(sum(octet_length(b.bytes)), 0)::bigint FROM search_blocks b WHERE b.tenant_id = $1) AS bytes,
       (SELECT count(*) FROM skills s WHERE s.tenant_id = $1 AND s.status = 'active' AND s.latest_version_id IS NOT NULL) AS skills
