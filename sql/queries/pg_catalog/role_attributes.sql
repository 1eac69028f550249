-- pg_catalog/role_attributes: Lists the attributes, memberships and ownership with which these roles could bypass row level security.
SELECT r.rolname::text AS name, r.rolsuper AS superuser, r.rolbypassrls AS bypasses_rls, r.rolcreaterole AS creates_roles,
       r.rolcreatedb AS creates_databases, r.rolreplication AS replicates,
       pg_catalog.has_database_privilege(r.oid, d.oid, 'CREATE') AS creates_schemas,
       pg_catalog.pg_has_role(r.oid, d.datdba, 'MEMBER') AS owns_database,
       EXISTS (
           SELECT FROM pg_catalog.pg_namespace n
           WHERE n.nspname = 'public' AND pg_catalog.pg_has_role(r.oid, n.nspowner, 'MEMBER')
       ) AS owns_schema,
       coalesce((
           SELECT string_agg(n.nspname, ', ' ORDER BY n.nspname) FROM pg_catalog.pg_namespace n
           WHERE n.nspname !~ '^pg_(toast|temp)' AND pg_catalog.has_schema_privilege(r.oid, n.oid, 'CREATE')
       ), '') AS creates_in,
       coalesce((
           SELECT string_agg(p.parname, ', ' ORDER BY p.parname) FROM pg_catalog.pg_parameter_acl p
           WHERE pg_catalog.has_parameter_privilege(r.oid, p.parname, 'SET')
              OR pg_catalog.has_parameter_privilege(r.oid, p.parname, 'ALTER SYSTEM')
       ), '') AS sets,
       -- The two working roles may be members of nothing but each other as created. Another login role may belong to the
       -- administrator's own groups, which are checked themselves, and to the predefined roles for monitoring.
       coalesce((
           SELECT string_agg(g.rolname, ', ' ORDER BY g.rolname)
           FROM pg_catalog.pg_roles g
           WHERE g.oid <> r.oid AND CASE WHEN r.rolname IN ('skillkeep_app', 'skillkeep_admin')
               THEN EXISTS (SELECT FROM pg_catalog.pg_auth_members m WHERE m.member = r.oid AND m.roleid = g.oid)
                    AND NOT (r.rolname = 'skillkeep_admin' AND g.rolname = 'skillkeep_app')
               ELSE g.rolname ~ '^pg_' AND pg_catalog.pg_has_role(r.oid, g.oid, 'MEMBER') AND g.rolname NOT IN (
                    'pg_monitor', 'pg_read_all_settings', 'pg_read_all_stats', 'pg_stat_scan_tables', 'pg_checkpoint',
                    'pg_use_reserved_connections')
               END
       ), '') AS member_of
FROM pg_catalog.pg_roles r
JOIN pg_catalog.pg_database d ON d.datname = current_database()
WHERE r.rolname = ANY ($1::text[])
ORDER BY r.rolname
