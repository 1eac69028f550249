-- archives/insert_plugin: Stores the digest of the plugin of a version. Two calls may find it at the same time.
INSERT INTO plugin_digests (tenant_id, version_id, slug, digest)
VALUES ($1, $2, $3, $4)
ON CONFLICT (tenant_id, version_id, slug) DO NOTHING
