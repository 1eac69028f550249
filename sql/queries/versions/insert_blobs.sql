-- versions/insert_blobs: stores bytes under their digests; what is there already stays.
INSERT INTO blobs (tenant_id, digest, bytes)
SELECT $1, new.digest, new.bytes
FROM unnest($2::bytea[], $3::bytea[]) AS new (digest, bytes)
ON CONFLICT (tenant_id, digest) DO NOTHING
