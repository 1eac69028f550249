-- scans/insert_override: Stores a reviewer's decision to allow files in spite of critical findings.
INSERT INTO scan_overrides (tenant_id, digest, reviewer_id, reason)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, digest) DO NOTHING
