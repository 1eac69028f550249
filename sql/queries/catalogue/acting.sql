-- catalogue/acting: the roles in whose name the server could work: the one that connected, and all that it can become.
-- What PostgreSQL predefines is judged by its name; a superuser, and the tables' owner, by the check of the role itself.
SELECT r.rolname::text AS name
FROM pg_catalog.pg_roles r
WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') AND r.rolname !~ '^pg_'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_roles s WHERE s.rolsuper AND pg_catalog.pg_has_role(session_user, s.oid, 'MEMBER'))
  AND r.oid IS DISTINCT FROM (
      SELECT c.relowner FROM pg_catalog.pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relname = 'tenants')
