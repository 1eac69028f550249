-- skills/try_import_lock: Takes the lock of imports into the tenant $1 unless another import holds it.
SELECT pg_try_advisory_xact_lock(hashtextextended('skillkeep.import:' || $1::uuid::text, 0)) AS taken
