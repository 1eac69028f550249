-- pg_catalog/large_object_functions: Returns the statement that revokes the large object functions from PUBLIC, or NULL if these roles may call none.
SELECT 'REVOKE EXECUTE ON FUNCTION ' || string_agg(p.oid::regprocedure::text, ', ' ORDER BY p.oid::regprocedure::text)
       || ' FROM PUBLIC' AS revoke_statement
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'pg_catalog'::regnamespace
  AND (p.proname LIKE 'lo\_%' OR p.proname IN ('loread', 'lowrite'))
  AND EXISTS (SELECT FROM pg_catalog.pg_roles r
              WHERE r.rolname = ANY ($1::text[]) AND NOT r.rolsuper
                AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE'))
