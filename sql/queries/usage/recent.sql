-- usage/recent: Lists a tenant's newest usage events, newest first (admin role).
SELECT e.id, e.tool, e.outcome, e.error_code, e.duration_us, e.transport, e.protocol_version, e.client_name,
       e.client_version, u.email, s.slug AS skill, e.arguments, e.result_bytes, e.created_at
FROM usage_events e
LEFT JOIN users u ON u.tenant_id = e.tenant_id AND u.id = e.user_id
LEFT JOIN skills s ON s.tenant_id = e.tenant_id AND s.id = e.skill_id
WHERE e.tenant_id = $1
ORDER BY e.id DESC
LIMIT $2
