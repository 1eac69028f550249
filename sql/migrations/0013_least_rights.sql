-- Narrows what the server's role can do, should an attacker ever choose its statements: no audit entry in an
-- administrator's name, no jump of the catalog revision, no change of a skill's source.

-- The other columns of an entry are set by chain_audit_entry.
REVOKE INSERT ON audit_logs FROM skillkeep_app, skillkeep_admin;
GRANT INSERT (tenant_id, id, actor_kind, actor, action, subject, details, source)
    ON audit_logs TO skillkeep_app, skillkeep_admin;

-- Tenants, users, API keys, settings and usage records are managed by administrators only, so a server has no entry to
-- write about them.
CREATE FUNCTION check_audit_actor() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF (NEW.actor_kind = 'admin' OR NEW.action !~ '^(denied|skill|scan)[.]' OR NEW.action = 'skill.purge')
        AND NOT pg_has_role(current_user, 'skillkeep_admin', 'MEMBER')
    THEN
        RAISE EXCEPTION 'only the admin role writes this audit entry' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NEW;
END
$$;
REVOKE ALL ON FUNCTION check_audit_actor() FROM PUBLIC;
CREATE TRIGGER audit_actor BEFORE INSERT ON audit_logs FOR EACH ROW EXECUTE FUNCTION check_audit_actor();
ALTER TABLE audit_logs ENABLE ALWAYS TRIGGER audit_actor;

-- Search indexes and listening clients read the changes after the last revision that they saw. A revision that went back
-- or jumped to the largest number would hide all later changes from them.
CREATE FUNCTION check_catalog_revision() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    IF NEW.catalog_revision NOT IN (OLD.catalog_revision, OLD.catalog_revision + 1) THEN
        RAISE EXCEPTION 'the catalog revision increases by one' USING ERRCODE = 'insufficient_privilege';
    END IF;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION check_catalog_revision() FROM PUBLIC;
-- AFTER: with a BEFORE trigger, every update of the status would lock the row against the key-share locks of running calls.
CREATE TRIGGER catalog_revision AFTER UPDATE OF catalog_revision ON tenants
    FOR EACH ROW EXECUTE FUNCTION check_catalog_revision();
ALTER TABLE tenants ENABLE ALWAYS TRIGGER catalog_revision;

-- Only an import, which runs in the admin role, binds a skill to its source.
REVOKE UPDATE (source, source_name) ON skills FROM skillkeep_app;
