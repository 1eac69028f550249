-- skills/import_lock: Waits for the lock of imports into the tenant $1.
SELECT pg_advisory_xact_lock(hashtextextended('skillkeep.import:' || $1::uuid::text, 0)) IS NULL AS failed
