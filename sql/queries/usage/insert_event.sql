-- usage/insert_event: Records one call.
INSERT INTO usage_events (
    tenant_id, id, api_key_id, user_id, tool, skill_id, version_id, digest, outcome, error_code, duration_us, transport,
    protocol_version, client_name, client_version, request_id, trace_id, idempotency_key, arguments, result_count,
    result_bytes
) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21)
