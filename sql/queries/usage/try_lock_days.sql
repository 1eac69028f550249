-- usage/try_lock_days: Takes the lock for summarising days of tenant $1 until the transaction ends, unless another has it.
SELECT pg_try_advisory_xact_lock(hashtextextended('skillkeep.usage_days:' || $1::uuid::text, 0)) AS taken
