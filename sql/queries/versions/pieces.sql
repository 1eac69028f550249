-- versions/pieces: Reads parts of files of a version: of each path in $3, at most $5 bytes from byte $4 on, counted from 0.
SELECT f.path, substring(b.bytes FROM (w.first_byte + 1)::integer FOR w.bytes::integer) AS piece
FROM unnest($3::text[], $4::bigint[], $5::bigint[]) AS w (path, first_byte, bytes)
JOIN skill_files f ON f.tenant_id = $1 AND f.version_id = $2 AND f.path = w.path
JOIN blobs b ON b.tenant_id = f.tenant_id AND b.digest = f.digest
WHERE f.tenant_id = $1
