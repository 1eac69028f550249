-- scans/is_overridden: Finds whether a reviewer allowed the files with a digest in spite of critical findings.
SELECT o.digest
FROM scan_overrides o
WHERE o.tenant_id = $1 AND o.digest = $2
