-- catalogue/session: what this session itself was given, be it by the server's configuration, a role or the URL.
SELECT coalesce(current_setting('app.current_tenant_id', true), '') <> '' AS has_tenant,
       current_setting('row_security') <> 'on' AS no_row_security,
       current_setting('session_replication_role') <> 'origin' AS no_triggers
