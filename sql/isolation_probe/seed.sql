-- isolation_probe/seed: Inserts a row of the current tenant into every tenant table, in a transaction that is rolled back.
INSERT INTO users (tenant_id, id, email)
VALUES (current_tenant_id(), current_tenant_id(), 'probe@example.com');
INSERT INTO api_keys (tenant_id, id, user_id, name, key_hash, scopes)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), 'probe', sha256('probe'), '{skills:read}');
INSERT INTO secret_paths (tenant_id, id, api_key_id, name, secret_hash, created_by, expires_at)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), 'probe', sha256('probe'), 'probe', now() + interval '1 day');
INSERT INTO skills (tenant_id, id, slug, name, description, conformant, revision)
VALUES (current_tenant_id(), current_tenant_id(), 'probe', 'probe', 'A skill of the isolation probe.', true, 1);
INSERT INTO skill_versions (tenant_id, id, skill_id, ordinal, version, digest, front_matter, file_count, total_bytes)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), 1, '1', sha256('probe'), '{}', 1, 5);
INSERT INTO archive_digests (tenant_id, version_id, digest)
VALUES (current_tenant_id(), current_tenant_id(), sha256('probe'));
INSERT INTO plugin_digests (tenant_id, version_id, slug, digest)
VALUES (current_tenant_id(), current_tenant_id(), 'probe', sha256('probe'));
INSERT INTO search_segments (tenant_id, id, format, revision, document_count, documents, directory, vocabulary, document_words)
VALUES (current_tenant_id(), current_tenant_id(), 0, 1, 0, '', '', '', '');
INSERT INTO search_blocks (tenant_id, segment_id, number, bytes)
VALUES (current_tenant_id(), current_tenant_id(), 0, '');
INSERT INTO blobs (tenant_id, digest, bytes)
VALUES (current_tenant_id(), sha256('probe'), 'probe');
INSERT INTO skill_files (tenant_id, version_id, path, digest, size, mode)
VALUES (current_tenant_id(), current_tenant_id(), 'SKILL.md', sha256('probe'), 5, 'file');
INSERT INTO skill_embeddings (tenant_id, version_id, model, dimensions, vector, input_hash, revision)
VALUES (current_tenant_id(), current_tenant_id(), 'probe', 1, '\x0000803f7f', sha256('probe'), 1);
INSERT INTO skill_reviews (tenant_id, id, version_id, reviewer_id, verdict)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), 'approved');
INSERT INTO skill_aliases (tenant_id, slug, skill_id)
VALUES (current_tenant_id(), 'probe-before', current_tenant_id());
INSERT INTO skill_scans (tenant_id, digest, ruleset)
VALUES (current_tenant_id(), sha256('probe'), 'probe');
INSERT INTO scan_overrides (tenant_id, digest, reviewer_id, reason)
VALUES (current_tenant_id(), sha256('probe'), current_tenant_id(), 'probe');
INSERT INTO signing_keys (tenant_id, id, public_key, created_by)
VALUES (current_tenant_id(), left(encode(sha256(sha256('probe')), 'hex'), 16), sha256('probe'), 'probe');
INSERT INTO version_signatures (tenant_id, version_id, slug, key_id, signature)
VALUES (current_tenant_id(), current_tenant_id(), 'probe', left(encode(sha256(sha256('probe')), 'hex'), 16),
        sha256('probe') || sha256('probe'));
INSERT INTO ratings (tenant_id, id, skill_id, user_id, stars)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), 5);
INSERT INTO installs (tenant_id, id, skill_id, version_id, user_id, api_key_id, assistant, target)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(),
        current_tenant_id(), 'folder', '.');
INSERT INTO denied_digests (tenant_id, digest, reason, created_by)
VALUES (current_tenant_id(), sha256('denied'), 'probe', 'probe');
INSERT INTO user_groups (tenant_id, id, name)
VALUES (current_tenant_id(), current_tenant_id(), 'probe');
INSERT INTO user_group_members (tenant_id, group_id, user_id)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id());
INSERT INTO distributions (tenant_id, id, skill_id, group_id, version_id, created_by)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), 'probe');
INSERT INTO tenant_settings (tenant_id, key, value)
VALUES (current_tenant_id(), 'probe', '1');
INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), 'probe', 'ok', 1, 'stdio');
INSERT INTO skill_feedback (tenant_id, id, idempotency_key, user_id, skill_id, version_id, outcome)
VALUES (current_tenant_id(), current_tenant_id(), 'probe', current_tenant_id(), current_tenant_id(), current_tenant_id(),
        'helped');
INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject)
VALUES (current_tenant_id(), current_tenant_id(), 'system', 'doctor', 'denied.probe', 'probe');
INSERT INTO usage_days (tenant_id, day, tools, outcomes, tool_calls, durations, duration_calls, pair_users, pair_skills, pair_calls,
    empty_queries, empty_filters, empty_weak, empty_searches, lost_queries, lost_users, lost_searches)
VALUES (current_tenant_id(), '2000-01-01', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}', '{}');
