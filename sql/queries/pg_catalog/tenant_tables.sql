-- pg_catalog/tenant_tables: Lists the tables with tenants' rows, found by their tenant_id column, with what protects each.
SELECT c.relname::text AS name,
       c.relrowsecurity AS rls_enabled,
       c.relforcerowsecurity AS rls_forced,
       c.relispartition OR c.relname ~ '^pruned_events_\d{4}_\d{2}$' AS is_partition,
       EXISTS (
           SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant_access'
             AND p.polpermissive AND p.polcmd = '*' AND p.polroles = '{0}'
             AND pg_catalog.pg_get_expr(p.polqual, c.oid) = t.expression
             AND pg_catalog.pg_get_expr(p.polwithcheck, c.oid) = t.expression
       ) AS has_permissive,
       EXISTS (
           SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid AND p.polname = 'tenant_isolation'
             AND NOT p.polpermissive AND p.polcmd = '*' AND p.polroles = '{0}'
             AND pg_catalog.pg_get_expr(p.polqual, c.oid) = t.restriction
             AND pg_catalog.pg_get_expr(p.polwithcheck, c.oid) = t.restriction
       ) AS has_restrictive,
       EXISTS (
           SELECT FROM pg_catalog.pg_policy p WHERE p.polrelid = c.oid
             AND p.polname NOT IN ('tenant_access', 'tenant_isolation', t.also_allowed)
       ) AS has_other_policies,
       pg_catalog.has_table_privilege('skillkeep_app', c.oid, 'TRUNCATE') AS may_truncate,
       (c.relispartition OR c.relname ~ '^pruned_events_\d{4}_\d{2}$')
           AND pg_catalog.has_table_privilege('skillkeep_app', c.oid, 'SELECT, INSERT, UPDATE, DELETE')
           AS partition_granted
FROM pg_catalog.pg_class c
CROSS JOIN LATERAL (
    SELECT CASE WHEN c.relname = 'tenants' THEN '(id = current_tenant_id())'
                ELSE '(tenant_id = current_tenant_id())' END AS expression,
           CASE WHEN c.relname = 'tenants'
                THEN '((id = current_tenant_id()) OR (CURRENT_USER = ''skillkeep_admin''::name))'
                ELSE '(tenant_id = current_tenant_id())' END AS restriction,
           CASE WHEN c.relname = 'tenants' THEN 'tenant_directory' ELSE 'tenant_access' END AS also_allowed
) t
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p')
  AND (c.relname = 'tenants' OR EXISTS (
      SELECT FROM pg_catalog.pg_attribute a
      WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped))
ORDER BY c.relname
