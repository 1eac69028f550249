-- secret_paths/authenticate: Finds the principal of a secret path, if the path, its key, the key's user and the tenant are all active now.
SELECT k.id AS api_key_id,
       k.name AS api_key_name,
       ARRAY(SELECT s FROM unnest(k.scopes) s WHERE s IN ('skills:read', 'skills:install')) AS scopes,
       CASE WHEN p.only_skills IS NULL THEN k.only_skills
            WHEN k.only_skills IS NULL THEN p.only_skills
            ELSE ARRAY(SELECT s FROM unnest(p.only_skills) s WHERE s = ANY (k.only_skills)) END AS only_skills,
       k.only_tools,
       least(k.expires_at, p.expires_at) AS expires_at,
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
FROM secret_paths p
JOIN api_keys k ON k.tenant_id = p.tenant_id AND k.id = p.api_key_id
JOIN users u ON u.tenant_id = k.tenant_id AND u.id = k.user_id
JOIN tenants t ON t.id = k.tenant_id
WHERE p.tenant_id = $1
  AND p.secret_hash = $2
  AND p.revoked_at IS NULL
  AND p.expires_at > now()
  AND (k.revoked_at IS NULL OR k.revoked_at > now())
  AND (k.expires_at IS NULL OR k.expires_at > now())
  AND u.status = 'active'
  AND t.status = 'active'
