-- pg_catalog/session_settings: Checks the settings with which this session started, from the server configuration, the role or the URL.
SELECT coalesce(current_setting('app.current_tenant_id', true), '') <> '' AS has_tenant,
       current_setting('row_security') <> 'on' AS no_row_security,
       current_setting('session_replication_role') <> 'origin' AS no_triggers
