-- pg_catalog/excess_grants: Lists privileges in the schema public that these roles have and skillkeep_app does not have.
WITH others AS (
    SELECT r.oid FROM pg_catalog.pg_roles r
    WHERE r.rolname = ANY ($1::text[]) AND r.rolname NOT IN ('skillkeep_app', 'skillkeep_admin')
)
SELECT pg_catalog.pg_get_userbyid(a.grantee)::text AS role, a.privilege_type || ' on ' || c.oid::regclass::text AS what
FROM pg_catalog.pg_class c, LATERAL aclexplode(c.relacl) a
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f')
  AND a.grantee IN (SELECT oid FROM others)
  AND NOT pg_catalog.has_table_privilege('skillkeep_app', c.oid, a.privilege_type)
UNION ALL
SELECT pg_catalog.pg_get_userbyid(a.grantee)::text, a.privilege_type || ' on ' || c.oid::regclass::text || '(' || t.attname || ')'
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid, LATERAL aclexplode(t.attacl) a
WHERE c.relnamespace = 'public'::regnamespace AND a.grantee IN (SELECT oid FROM others)
  AND NOT pg_catalog.has_column_privilege('skillkeep_app', c.oid, t.attnum, a.privilege_type)
UNION ALL
SELECT pg_catalog.pg_get_userbyid(a.grantee)::text, a.privilege_type || ' on ' || p.oid::regprocedure::text
FROM pg_catalog.pg_proc p, LATERAL aclexplode(p.proacl) a
WHERE p.pronamespace = 'public'::regnamespace AND a.grantee IN (SELECT oid FROM others)
  AND NOT pg_catalog.has_function_privilege('skillkeep_app', p.oid, 'EXECUTE')
ORDER BY role, what
