-- catalogue/roles: what the two working roles could do around row level security by their attributes and memberships.
SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypasses_rls, r.rolcreaterole AS creates_roles,
       r.rolcreatedb AS creates_databases, r.rolreplication AS replicates,
       pg_catalog.has_schema_privilege(r.oid, 'public', 'CREATE') AS creates_in_schema,
       coalesce((
           SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname)
           FROM pg_catalog.pg_auth_members m JOIN pg_catalog.pg_roles g ON g.oid = m.roleid
           WHERE m.member = r.oid AND NOT (r.rolname = 'skillkeep_admin' AND g.rolname = 'skillkeep_app')
       ), '') AS member_of
FROM pg_catalog.pg_roles r
WHERE r.rolname IN ('skillkeep_app', 'skillkeep_admin')
ORDER BY r.rolname
