-- pg_catalog/updatable_columns: Lists the tables that the current role may update, each with one of the columns that it may change.
SELECT c.relname::text AS name, min(quote_ident(a.attname)) AS column_name
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND pg_catalog.has_column_privilege(c.oid, a.attnum, 'UPDATE')
GROUP BY c.relname
