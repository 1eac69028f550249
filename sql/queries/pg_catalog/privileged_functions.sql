-- pg_catalog/privileged_functions: Lists extension, built-in and foreign-server objects with which these roles could bypass the policies.
WITH roles AS (
    SELECT r.oid FROM pg_catalog.pg_roles r WHERE r.rolname = ANY ($1::text[]) AND NOT r.rolsuper
), members AS (
    SELECT d.classid, d.objid, e.extname FROM pg_catalog.pg_depend d
    JOIN pg_catalog.pg_extension e ON d.refclassid = 'pg_extension'::regclass AND e.oid = d.refobjid
    WHERE d.deptype = 'e'
), granted AS (
    SELECT 'pg_proc'::regclass::oid AS classid, p.oid AS objid, 0 AS objsubid, 'the function ' || p.oid::regprocedure::text AS name,
           a.grantee, a.privilege_type
    FROM pg_catalog.pg_proc p, LATERAL aclexplode(p.proacl) a
    WHERE p.pronamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, 0, c.oid::regclass::text, a.grantee, a.privilege_type
    FROM pg_catalog.pg_class c, LATERAL aclexplode(c.relacl) a
    WHERE c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
    UNION ALL
    SELECT 'pg_class'::regclass, c.oid, t.attnum, c.oid::regclass || '.' || t.attname, a.grantee, a.privilege_type
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute t ON t.attrelid = c.oid, LATERAL aclexplode(t.attacl) a
    WHERE c.relnamespace IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)
)
-- Most functions of an extension have only the caller's privileges; these have more.
SELECT DISTINCT m.extname::text AS name, 'an extension whose functions reach files, other servers or other roles, and the server''s '
           'or the admin role may call them (' || min(p.oid::regprocedure::text) OVER (PARTITION BY m.extname) || ')' AS what
FROM members m
JOIN pg_catalog.pg_proc p ON m.classid = 'pg_proc'::regclass AND p.oid = m.objid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang
WHERE (m.extname IN ('dblink', 'postgres_fdw', 'file_fdw', 'adminpack', 'pageinspect', 'pg_walinspect', 'pg_surgery',
                     'pg_visibility', 'http', 'pg_net', 'pg_cron', 'aws_s3', 'aws_lambda', 'orafce')
       OR p.prosecdef OR NOT l.lanpltrusted AND l.lanname NOT IN ('c', 'internal', 'sql'))
  AND EXISTS (
      SELECT FROM roles r
      WHERE pg_catalog.has_schema_privilege(r.oid, p.pronamespace, 'USAGE') AND pg_catalog.has_function_privilege(r.oid, p.oid, 'EXECUTE'))
UNION ALL
-- A table may have been made a member of an extension to hide it from the other checks. A view of an extension is
-- reported only if it reads something else than PostgreSQL's own relations.
SELECT c.oid::regclass::text, 'a member of the extension ' || m.extname || ', and the server''s or the admin role may use it'
FROM members m
JOIN pg_catalog.pg_class c ON m.classid = 'pg_class'::regclass AND c.oid = m.objid
WHERE (c.relkind IN ('r', 'p', 'm', 'f') AND c.relname <> 'spatial_ref_sys'
       OR c.relkind = 'v' AND EXISTS (
           SELECT FROM pg_catalog.pg_rewrite w
           JOIN pg_catalog.pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid AND d.refclassid = 'pg_class'::regclass
           JOIN pg_catalog.pg_class source ON source.oid = d.refobjid AND source.oid <> c.oid
           WHERE w.ev_class = c.oid
             AND source.relnamespace NOT IN ('pg_catalog'::regnamespace, 'information_schema'::regnamespace)))
  AND EXISTS (
      SELECT FROM roles r
      WHERE pg_catalog.has_table_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, DELETE, TRUNCATE, REFERENCES, TRIGGER')
         OR pg_catalog.has_any_column_privilege(r.oid, c.oid, 'SELECT, INSERT, UPDATE, REFERENCES'))
UNION ALL
-- Built-in objects that PostgreSQL reserves for superusers, such as lo_import and the statistics of all tenants' values,
-- and on which a privilege was granted.
SELECT g.name, 'a PostgreSQL object reserved for superusers, but '
           || CASE WHEN g.grantee = 0 THEN 'PUBLIC' ELSE pg_catalog.pg_get_userbyid(g.grantee)::text END
           || ' was granted ' || g.privilege_type
FROM granted g
WHERE (g.grantee = 0 OR g.grantee IN (SELECT oid FROM roles))
  AND EXISTS (SELECT FROM pg_catalog.pg_init_privs i
              WHERE i.classoid = g.classid AND i.objoid = g.objid AND i.objsubid IN (0, g.objsubid))
  AND NOT EXISTS (
      SELECT FROM pg_catalog.pg_init_privs i, LATERAL aclexplode(i.initprivs) a
      WHERE i.classoid = g.classid AND i.objoid = g.objid AND i.objsubid IN (0, g.objsubid)
        AND a.grantee IN (0, g.grantee) AND a.privilege_type = g.privilege_type)
UNION ALL
SELECT s.srvname::text, 'a foreign server that the server''s or the admin role may use'
FROM pg_catalog.pg_foreign_server s
WHERE EXISTS (SELECT FROM roles r WHERE pg_catalog.has_server_privilege(r.oid, s.oid, 'USAGE'))
UNION ALL
SELECT u.srvname::text || ' for ' || u.usename::text, 'a user mapping for a foreign server'
FROM pg_catalog.pg_user_mappings u
WHERE u.umuser = 0 OR u.umuser IN (SELECT oid FROM roles)
ORDER BY name
