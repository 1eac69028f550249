-- pg_catalog/schema_objects: Describes every object of the schema that affects isolation, one line each, with the relation that it belongs to.
-- Objects of extensions, and grants to other roles than the two working ones, are the administrator's choice: left out.
WITH of_extensions AS (
    SELECT d.classid, d.objid FROM pg_catalog.pg_depend d WHERE d.deptype = 'e'
), relations AS (
    SELECT c.oid, c.relname::text AS name, c.relkind, c.relowner, c.relacl, c.relrowsecurity, c.relforcerowsecurity
    FROM pg_catalog.pg_class c
    WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND c.oid NOT IN (SELECT objid FROM of_extensions WHERE classid = 'pg_class'::regclass)
), granted AS (
    SELECT r.name AS relation, 'on ' || r.name AS object, a.grantee, a.privilege_type, a.is_grantable, r.relowner AS owner
    FROM relations r, LATERAL aclexplode(r.relacl) a
    UNION ALL
    SELECT r.name, 'on ' || r.name || '(' || c.attname || ')', a.grantee, a.privilege_type, a.is_grantable, r.relowner
    FROM relations r JOIN pg_catalog.pg_attribute c ON c.attrelid = r.oid, LATERAL aclexplode(c.attacl) a
    UNION ALL
    SELECT '', 'on function ' || p.oid::regprocedure::text, a.grantee, a.privilege_type, a.is_grantable, p.proowner
    FROM pg_catalog.pg_proc p,
         LATERAL aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) a
    WHERE p.pronamespace = 'public'::regnamespace AND p.oid NOT IN (SELECT objid FROM of_extensions WHERE classid = 'pg_proc'::regclass)
)
SELECT name AS relation,
       'relation ' || name || ' kind ' || relkind::text || CASE WHEN relrowsecurity THEN ' rls' ELSE '' END
           || CASE WHEN relforcerowsecurity THEN ' forced' ELSE '' END AS line
FROM relations
UNION ALL
SELECT r.name, 'column ' || r.name || '.' || a.attname || ' ' || pg_catalog.format_type(a.atttypid, a.atttypmod)
       || CASE WHEN a.attnotnull THEN ' not null' ELSE '' END
       || coalesce(' default ' || btrim(regexp_replace(pg_catalog.pg_get_expr(d.adbin, d.adrelid), '\s+', ' ', 'g')), '')
       || CASE WHEN a.attgenerated = '' THEN '' ELSE ' generated' END
FROM relations r
JOIN pg_catalog.pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attrdef d ON d.adrelid = r.oid AND d.adnum = a.attnum
UNION ALL
-- PostgreSQL 18 also lists NOT NULL as constraints (contype 'n').
SELECT r.name, 'constraint ' || con.conname || ' of ' || r.name || ' ' || pg_catalog.pg_get_constraintdef(con.oid)
       || CASE WHEN con.convalidated THEN '' ELSE ' not valid' END
FROM relations r JOIN pg_catalog.pg_constraint con ON con.conrelid = r.oid
WHERE con.contype <> 'n' AND con.conparentid = 0
UNION ALL
SELECT r.name, CASE WHEN i.indisunique THEN 'unique index ' ELSE 'index ' END || pg_catalog.pg_get_indexdef(i.indexrelid)
FROM relations r JOIN pg_catalog.pg_index i ON i.indrelid = r.oid
UNION ALL
SELECT r.name, 'trigger ' || pg_catalog.pg_get_triggerdef(t.oid) || ' enabled ' || t.tgenabled::text
FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
WHERE NOT t.tgisinternal
UNION ALL
-- PostgreSQL enforces a foreign key with internal triggers on both tables. Listed only if they are disabled.
SELECT r.name, 'trigger on ' || r.name || ' of the constraint ' || con.conname || ' enabled ' || t.tgenabled::text
FROM relations r JOIN pg_catalog.pg_trigger t ON t.tgrelid = r.oid
LEFT JOIN pg_catalog.pg_constraint con ON con.oid = t.tgconstraint
WHERE t.tgisinternal AND t.tgenabled <> 'O'
UNION ALL
SELECT r.name, 'policy ' || p.polname || ' of ' || r.name || CASE WHEN p.polpermissive THEN ' permissive' ELSE ' restrictive' END
       || ' for ' || p.polcmd::text || ' to ' || coalesce((
           SELECT string_agg(rolname, ', ' ORDER BY rolname) FROM pg_catalog.pg_roles WHERE oid = ANY (p.polroles)), 'public')
       || ' using ' || coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), '-')
       || ' check ' || coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '-')
FROM relations r JOIN pg_catalog.pg_policy p ON p.polrelid = r.oid
UNION ALL
SELECT r.name, 'rule ' || w.rulename || ' of ' || r.name
FROM relations r JOIN pg_catalog.pg_rewrite w ON w.ev_class = r.oid
UNION ALL
SELECT r.name, 'child ' || r.name || ' of ' || i.inhparent::regclass
FROM relations r JOIN pg_catalog.pg_inherits i ON i.inhrelid = r.oid
UNION ALL
SELECT '', 'function ' || p.oid::regprocedure::text || CASE WHEN p.prosecdef THEN ' security definer' ELSE '' END
       || coalesce(' set ' || array_to_string(p.proconfig, '; '), '')
       || ' ' || md5(pg_catalog.pg_get_functiondef(p.oid))
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.prokind IN ('f', 'p')
  AND p.oid NOT IN (SELECT objid FROM of_extensions WHERE classid = 'pg_proc'::regclass)
UNION ALL
SELECT g.relation, 'grant ' || g.privilege_type || ' ' || g.object || ' to '
       || CASE WHEN g.grantee = 0 THEN 'public' ELSE pg_catalog.pg_get_userbyid(g.grantee)::text END
       || CASE WHEN g.is_grantable THEN ' with grant option' ELSE '' END
FROM granted g
WHERE g.grantee <> g.owner
  AND (g.grantee = 0 OR pg_catalog.pg_get_userbyid(g.grantee) IN ('skillkeep_app', 'skillkeep_admin'))
UNION ALL
SELECT '', 'default privileges for ' || pg_catalog.pg_get_userbyid(d.defaclrole)::text || ' ' || d.defaclacl::text
FROM pg_catalog.pg_default_acl d
WHERE EXISTS (
    SELECT FROM aclexplode(d.defaclacl) a
    WHERE a.grantee = 0 OR pg_catalog.pg_get_userbyid(a.grantee) IN ('skillkeep_app', 'skillkeep_admin'))
UNION ALL
SELECT '', 'setting of a role or database: ' || setting
FROM pg_catalog.pg_db_role_setting s, LATERAL unnest(s.setconfig) setting
WHERE (s.setdatabase = 0 OR s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
  AND (s.setrole = 0 OR s.setrole IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname IN ('skillkeep_app', 'skillkeep_admin')))
  AND (lower(setting) LIKE 'app.%' OR lower(setting) LIKE 'search_path=%' OR lower(setting) LIKE 'row_security=%' OR lower(setting) LIKE 'role=%'
       OR lower(setting) LIKE 'session_replication_role=%')
