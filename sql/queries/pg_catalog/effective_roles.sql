-- pg_catalog/effective_roles: Lists the roles that the server can act as: the login role and every role that it can become.
-- Predefined roles are checked by name, and superusers and the tables' owner in connected_role; they are left out here.
SELECT r.rolname::text AS name
FROM pg_catalog.pg_roles r
WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER') AND r.rolname !~ '^pg_'
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_roles s WHERE s.rolsuper AND pg_catalog.pg_has_role(session_user, s.oid, 'MEMBER'))
  AND r.oid IS DISTINCT FROM (
      SELECT c.relowner FROM pg_catalog.pg_class c
      WHERE c.relnamespace = 'public'::regnamespace AND c.relname = 'tenants')
