-- archives/digests: Reads the digests of the archives of these versions, as far as they are known.
SELECT a.version_id, a.digest
FROM archive_digests a
WHERE a.tenant_id = $1 AND a.version_id = ANY($2)
