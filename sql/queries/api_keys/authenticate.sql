-- api_keys/authenticate: Finds the principal of an API key, if the key, its user and its tenant are all active now.
SELECT k.id AS api_key_id,
       k.name AS api_key_name,
       k.scopes,
       k.only_skills,
       k.only_tools,
       k.expires_at,
       k.calls_per_minute AS key_per_minute,
       k.calls_per_month AS key_per_month,
       u.id AS user_id,
       u.email,
       t.slug AS tenant_slug,
       t.name AS tenant_name,
       t.calls_per_minute AS tenant_per_minute,
       t.calls_per_month AS tenant_per_month,
       t.search_text,
       t.catalog_revision,
       t.cursor_secret
FROM api_keys k
JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
JOIN tenants t ON t.id = k.tenant_id
WHERE k.tenant_id = $1
  AND k.key_hash = $2
  AND (k.revoked_at IS NULL OR k.revoked_at > now())
  AND (k.expires_at IS NULL OR k.expires_at > now())
  AND u.status = 'active'
  AND t.status = 'active'
