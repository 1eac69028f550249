-- pg_catalog/always_enabled_triggers: Lists the triggers that are enabled regardless of session_replication_role.
SELECT t.tgname::text AS name
FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = 'public'::regnamespace AND NOT t.tgisinternal AND t.tgenabled = 'A'
