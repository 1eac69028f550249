-- catalogue/references: foreign keys and unique keys of tenant tables that leave the tenant out.
SELECT con.conname::text AS name, c.relname::text AS table_name
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
WHERE c.relnamespace = 'public'::regnamespace AND con.contype IN ('f', 'p', 'u')
  AND con.conkey[1] <> a.attnum
ORDER BY c.relname, con.conname
