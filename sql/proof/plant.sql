-- proof/plant: a row of the current tenant in every tenant table, inside a transaction that is rolled back.
INSERT INTO users (tenant_id, id, email)
VALUES (current_tenant_id(), current_tenant_id(), 'proof@example.com');
INSERT INTO api_keys (tenant_id, id, user_id, name, key_hash, scopes)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), 'proof', sha256('proof'), '{skills:read}');
INSERT INTO skills (tenant_id, id, slug, name, description, conformant, revision)
VALUES (current_tenant_id(), current_tenant_id(), 'proof', 'proof', 'A planted skill.', true, 1);
INSERT INTO skill_versions (tenant_id, id, skill_id, ordinal, version, digest, front_matter, file_count, total_bytes)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), 1, '1', sha256('proof'), '{}', 1, 5);
INSERT INTO blobs (tenant_id, digest, bytes)
VALUES (current_tenant_id(), sha256('proof'), 'proof');
INSERT INTO skill_files (tenant_id, version_id, path, digest, size, mode)
VALUES (current_tenant_id(), current_tenant_id(), 'SKILL.md', sha256('proof'), 5, 'file');
INSERT INTO skill_embeddings (tenant_id, version_id, model, dimensions, vector)
VALUES (current_tenant_id(), current_tenant_id(), 'proof', 1, '\x00');
INSERT INTO skill_reviews (tenant_id, id, version_id, reviewer_id, verdict)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), 'approved');
INSERT INTO ratings (tenant_id, id, skill_id, user_id, stars)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), 5);
INSERT INTO installs (tenant_id, id, skill_id, version_id, user_id, api_key_id, assistant, target)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(),
        current_tenant_id(), 'folder', '.');
INSERT INTO site_settings (tenant_id, key, value)
VALUES (current_tenant_id(), 'proof', '1');
INSERT INTO usage_events (tenant_id, id, api_key_id, user_id, tool, outcome, duration_us, transport)
VALUES (current_tenant_id(), current_tenant_id(), current_tenant_id(), current_tenant_id(), 'proof', 'ok', 1, 'stdio');
INSERT INTO usage_reports (tenant_id, id, idempotency_key, user_id, skill_id, version_id, outcome)
VALUES (current_tenant_id(), current_tenant_id(), 'proof', current_tenant_id(), current_tenant_id(), current_tenant_id(),
        'helped');
INSERT INTO audit_logs (tenant_id, id, actor_kind, actor, action, subject)
VALUES (current_tenant_id(), current_tenant_id(), 'system', 'doctor', 'proof', 'proof');
