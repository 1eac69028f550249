-- pg_catalog/objects_outside_public: Lists objects outside the schema public that these roles may use, and child tables there.
WITH roles AS (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1::text[]) AND NOT r.rolsuper
), other_schemas AS (
    SELECT n.oid FROM pg_catalog.pg_namespace n
    WHERE n.nspname NOT IN ('public', 'pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
)
SELECT c.oid::regclass::text AS name, 'outside the schema public, and the server''s or the admin role may use it' AS what
FROM pg_catalog.pg_class c
WHERE c.relnamespace IN (SELECT oid FROM other_schemas) AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND EXISTS (
      SELECT FROM roles r
      WHERE pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
         OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
UNION ALL
SELECT p.oid::regprocedure::text, CASE WHEN p.prosecdef THEN 'a SECURITY DEFINER function' ELSE 'a function' END
           || ' outside the schema public, and the server''s or the admin role may call it'
FROM pg_catalog.pg_proc p
WHERE p.pronamespace IN (SELECT oid FROM other_schemas)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                  WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
  AND EXISTS (
      SELECT FROM roles r
      WHERE pg_catalog.has_schema_privilege(r.oid, p.pronamespace, 'USAGE') AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE'))
UNION ALL
SELECT c.oid::regclass::text, 'a child of ' || i.inhparent::regclass::text || ' outside the schema public'
FROM pg_catalog.pg_inherits i
JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid AND c.relkind IN ('r', 'p', 'f')
JOIN pg_catalog.pg_class parent ON parent.oid = i.inhparent AND parent.relnamespace = 'public'::regnamespace
WHERE c.relnamespace <> 'public'::regnamespace
ORDER BY name
