-- denied/matching: Finds the oldest entry of the denylist among the digests $2.
SELECT c.digest, c.reason
FROM denied_digests c
WHERE c.tenant_id = $1 AND c.digest = ANY($2)
ORDER BY c.created_at, c.digest
LIMIT 1
