-- versions/insert_blobs: Stores bytes under their digests; existing blobs are kept.
INSERT INTO blobs (tenant_id, digest, bytes)
SELECT $1, new.digest, new.bytes
FROM unnest($2::bytea[], $3::bytea[]) AS new (digest, bytes)
ON CONFLICT (tenant_id, digest) DO NOTHING
