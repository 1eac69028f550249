-- scans/upsert: Stores the scanner's result for the files with a digest.
INSERT INTO skill_scans (tenant_id, digest, ruleset, worst, findings)
VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (tenant_id, digest) DO UPDATE SET ruleset = excluded.ruleset, worst = excluded.worst,
    findings = excluded.findings, scanned_at = now()
