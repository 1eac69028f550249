-- archives/plugin_digests: Reads the digests of the plugins of these versions, as far as they are known, with the slugs in them.
SELECT a.version_id, a.slug, a.digest
FROM plugin_digests a
WHERE a.tenant_id = $1 AND a.version_id = ANY($2)
