-- pg_catalog/ownership: Lists objects that the tables' owner does not own, and reasons why the owner or the roles that can act as it are unsafe.
WITH owner AS (
    SELECT r.oid, r.rolname, r.rolsuper, r.rolbypassrls
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_roles r ON r.oid = c.relowner
    WHERE c.relnamespace = 'public'::regnamespace AND c.relname = 'tenants'
), owned AS (
    SELECT CASE c.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE'
                          WHEN 'f' THEN 'FOREIGN TABLE' ELSE 'TABLE' END AS kind,
           c.oid::regclass::text AS name, c.relowner AS owner
    FROM pg_catalog.pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
    UNION ALL
    SELECT CASE p.prokind WHEN 'p' THEN 'PROCEDURE' WHEN 'a' THEN 'AGGREGATE' ELSE 'FUNCTION' END,
           p.oid::regprocedure::text, p.proowner
    FROM pg_catalog.pg_proc p
    WHERE p.pronamespace = 'public'::regnamespace
      AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                      WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')
)
SELECT owned.name || ' belongs to ' || pg_catalog.pg_get_userbyid(owned.owner)::text || ', not to ' || owner.rolname
           || ' like the tables; fix it with ALTER ' || owned.kind || ' ' || owned.name || ' OWNER TO ' || owner.rolname AS finding
FROM owned CROSS JOIN owner WHERE owned.owner <> owner.oid
UNION ALL
SELECT 'the tables and functions belong to ' || owner.rolname || ', '
           || CASE WHEN owner.rolsuper THEN 'a superuser' ELSE 'which has BYPASSRLS' END
           || ', so no policy binds what they do; give each of them to an unprivileged role with ALTER TABLE ... OWNER TO and '
           || 'ALTER FUNCTION ... OWNER TO'
FROM owner WHERE owner.rolsuper OR owner.rolbypassrls
UNION ALL
SELECT 'the role ' || r.rolname || ' may act as ' || owner.rolname || ', which owns the tables'
FROM owner JOIN pg_catalog.pg_roles r ON r.rolname = ANY ($1::text[])
    AND pg_catalog.pg_has_role(r.oid, owner.oid, 'MEMBER') AND NOT r.rolsuper
ORDER BY 1
