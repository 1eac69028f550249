-- pg_catalog/tables_without_rls: Lists views, tables and functions in the schema public that could show a tenant's rows without the policies.
SELECT c.relname::text AS name, 'a view or materialized view' AS what
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('v', 'm')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e')
  AND pg_catalog.has_table_privilege('skillkeep_app', c.oid, 'SELECT')
UNION ALL
SELECT c.relname::text, 'a table without a tenant_id column'
FROM pg_catalog.pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'f')
  AND c.relname NOT IN ('tenants', 'skillkeep_migrations')
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_attribute a WHERE a.attrelid = c.oid AND a.attname = 'tenant_id')
UNION ALL
SELECT p.proname::text, 'an unknown SECURITY DEFINER function, or one without a fixed search_path'
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = 'public'::regnamespace AND p.prosecdef
  AND (p.proname NOT IN ('ensure_usage_partitions', 'detach_usage_month', 'prune_detached_month', 'erase_tenant',
                         'purge_skill', 'prune_tenant_usage', 'count_stored_bytes', 'forget_usage_day')
       OR NOT 'search_path=pg_catalog, public, pg_temp' = ANY (coalesce(p.proconfig, '{}')))
