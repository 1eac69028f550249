-- What each role may do. Neither may delete a record, change a published version or truncate a table. Columns that are
-- not listed for UPDATE cannot be changed.

GRANT EXECUTE ON FUNCTION current_tenant_id() TO skillkeep_app, skillkeep_admin;

GRANT SELECT ON tenants, tenant_settings, users, api_keys, skills, skill_versions, blobs, skill_files, skill_embeddings,
    skill_reviews, installs, ratings, skill_feedback, usage_events, audit_logs TO skillkeep_app, skillkeep_admin;

-- The server publishes and records. The admin role may do the same, and manages tenants, users and API keys.
GRANT INSERT ON skills, skill_versions, blobs, skill_files, skill_embeddings, skill_reviews, installs, ratings,
    skill_feedback, usage_events, audit_logs TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (name, description, category, tags, author, license, status, conformant, notes, latest_version_id, revision,
    updated_at) ON skills TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (status, yanked_at, yank_reason) ON skill_versions TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (state, reported_digest, reported_at) ON installs TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (stars, comment, updated_at) ON ratings TO skillkeep_app, skillkeep_admin;
GRANT UPDATE (catalog_revision, updated_at) ON tenants TO skillkeep_app;

GRANT INSERT ON tenants, tenant_settings, users, api_keys TO skillkeep_admin;
GRANT UPDATE (name, status, catalog_revision, calls_per_minute, calls_per_month, search_text, updated_at)
    ON tenants TO skillkeep_admin;
GRANT UPDATE (value, updated_at), DELETE ON tenant_settings TO skillkeep_admin;
GRANT UPDATE (name, status) ON users TO skillkeep_admin;
GRANT UPDATE (calls_per_minute, calls_per_month, expires_at, revoked_at, replaced_by) ON api_keys TO skillkeep_admin;
