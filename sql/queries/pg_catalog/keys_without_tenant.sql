-- pg_catalog/keys_without_tenant: Lists primary, unique and foreign keys of tenant tables that do not begin with the tenant on both sides.
SELECT con.conname::text AS name, c.relname::text AS table_name
FROM pg_catalog.pg_constraint con
JOIN pg_catalog.pg_class c ON c.oid = con.conrelid
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
LEFT JOIN pg_catalog.pg_attribute f ON f.attrelid = con.confrelid AND f.attnum = con.confkey[1]
WHERE c.relnamespace = 'public'::regnamespace AND con.contype IN ('f', 'p', 'u', 'x')
  AND (con.conkey[1] <> a.attnum
       OR con.contype = 'f' AND f.attname <> CASE WHEN con.confrelid <> 'public.tenants'::regclass THEN 'tenant_id'
                                                 WHEN c.relname = 'audit_logs' THEN 'id' ELSE 'active_tenant_id' END)
UNION ALL
SELECT i.indexrelid::regclass::text, c.relname::text
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indrelid
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id'
WHERE c.relnamespace = 'public'::regnamespace AND i.indisunique AND i.indkey[0] <> a.attnum
ORDER BY table_name, name
