-- The audit log of each tenant: append-only, and the hash of each entry covers the entry before it.

CREATE TABLE audit_logs (
    -- The id and not active_tenant_id: the audit log remains after its tenant is erased.
    tenant_id uuid NOT NULL REFERENCES tenants (id),
    id uuid NOT NULL,
    -- 1, 2, 3 … without a gap within a tenant.
    seq bigint NOT NULL,
    actor_kind text NOT NULL CHECK (actor_kind IN ('admin', 'key', 'system')),
    actor text NOT NULL CHECK (length(actor) <= 254),
    action text NOT NULL CHECK (length(action) BETWEEN 1 AND 64),
    subject text NOT NULL CHECK (length(subject) <= 254),
    details jsonb NOT NULL DEFAULT '{}',
    source text NOT NULL DEFAULT '' CHECK (length(source) <= 200),
    created_at timestamptz NOT NULL,
    prev_hash bytea NOT NULL CHECK (octet_length(prev_hash) = 32),
    hash bytea NOT NULL CHECK (octet_length(hash) = 32),
    PRIMARY KEY (tenant_id, id),
    UNIQUE (tenant_id, seq)
);

-- Sets what the writer must not choose: seq, created_at and the two hashes. The hash is the SHA-256 of the previous hash
-- and the fields. Each field is written as its length in bytes, a colon and its text, so that no two different entries
-- have the same input.
CREATE FUNCTION chain_audit_entry() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    last_seq bigint;
    last_hash bytea;
    field text;
    content text := '';
BEGIN
    -- Two concurrent writers of one tenant would otherwise both continue from the same entry.
    PERFORM pg_advisory_xact_lock(hashtextextended('skillkeep.audit:' || NEW.tenant_id::text, 0));
    SELECT a.seq, a.hash INTO last_seq, last_hash FROM public.audit_logs a
        WHERE a.tenant_id = NEW.tenant_id ORDER BY a.seq DESC LIMIT 1;
    NEW.seq := coalesce(last_seq, 0) + 1;
    NEW.prev_hash := coalesce(last_hash, decode(repeat('00', 32), 'hex'));
    NEW.created_at := clock_timestamp();
    FOREACH field IN ARRAY ARRAY[
        NEW.tenant_id::text, NEW.seq::text, NEW.id::text,
        (extract(epoch FROM NEW.created_at) * 1000000)::bigint::text,
        NEW.actor_kind, NEW.actor, NEW.action, NEW.subject, NEW.details::text, NEW.source
    ] LOOP
        content := content || octet_length(convert_to(field, 'UTF8'))::text || ':' || field;
    END LOOP;
    NEW.hash := sha256(NEW.prev_hash || convert_to(content, 'UTF8'));
    RETURN NEW;
END
$$;

CREATE FUNCTION forbid_audit_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
REVOKE ALL ON FUNCTION chain_audit_entry(), forbid_audit_change() FROM PUBLIC;

CREATE TRIGGER audit_chain BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION chain_audit_entry();
CREATE TRIGGER audit_append_only BEFORE UPDATE OR DELETE ON audit_logs
    FOR EACH ROW EXECUTE FUNCTION forbid_audit_change();
CREATE TRIGGER audit_no_truncate BEFORE TRUNCATE ON audit_logs
    FOR EACH STATEMENT EXECUTE FUNCTION forbid_audit_change();
-- ALWAYS: session_replication_role must not disable them.
ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_chain;
ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_append_only;
ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_no_truncate;
