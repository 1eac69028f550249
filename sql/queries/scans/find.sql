-- scans/find: Reads the scanner's result for the files with a digest, and the decision to override it.
SELECT c.ruleset, c.worst, c.findings, c.scanned_at, o.reason AS override_reason
FROM skill_scans c
LEFT JOIN scan_overrides o ON o.tenant_id = c.tenant_id AND o.digest = c.digest
WHERE c.tenant_id = $1 AND c.digest = $2
