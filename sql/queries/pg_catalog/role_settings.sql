-- pg_catalog/role_settings: Lists settings of these roles that would set a tenant or disable isolation; schema_objects covers the two working roles.
SELECT pg_catalog.pg_get_userbyid(s.setrole)::text AS role, setting
FROM pg_catalog.pg_db_role_setting s, LATERAL unnest(s.setconfig) setting
WHERE (s.setdatabase = 0 OR s.setdatabase = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database()))
  AND s.setrole IN (SELECT oid FROM pg_catalog.pg_roles WHERE rolname = ANY ($1::text[])
                    AND rolname NOT IN ('skillkeep_app', 'skillkeep_admin'))
  AND (lower(setting) LIKE 'app.%' OR lower(setting) LIKE 'row_security=%' OR lower(setting) LIKE 'session_replication_role=%'
       OR lower(setting) LIKE 'search_path=%' OR lower(setting) LIKE 'role=%' AND setting NOT ILIKE 'role=skillkeep_app')
ORDER BY role, setting
