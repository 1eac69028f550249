-- pg_catalog/connected_role: Finds the privileges with which the connected role, or a role that it can become, could bypass row level security.
SELECT current_user::text AS role,
       bool_or(r.rolsuper) AS superuser,
       bool_or(r.rolbypassrls) AS bypasses_rls,
       bool_or(r.rolname IN ('pg_read_all_data', 'pg_write_all_data')) AS reads_all,
       EXISTS (
           SELECT FROM pg_catalog.pg_class c
           WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
             AND pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER')
       ) AS owns_tables,
       pg_catalog.pg_has_role(session_user, 'skillkeep_admin', 'MEMBER') AS administers
FROM pg_catalog.pg_roles r
WHERE pg_catalog.pg_has_role(session_user, r.oid, 'MEMBER')
