-- search/try_lock: Takes the lock for merging the index segments of tenant $1 until the transaction ends, unless another has it.
SELECT pg_try_advisory_xact_lock(hashtextextended('skillkeep.search:' || $1::uuid::text, 0)) AS taken
