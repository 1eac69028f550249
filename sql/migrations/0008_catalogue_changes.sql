-- What clients learn of a catalogue between their calls: that it changed, and where in a list they were.

-- Cursors are signed with it, so that a place in a tenant's list can be neither forged nor carried to another tenant.
ALTER TABLE tenants ADD COLUMN cursor_secret bytea NOT NULL
    DEFAULT (uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()))
    CONSTRAINT tenants_cursor_secret_check CHECK (octet_length(cursor_secret) = 32);

-- Lists are read a page at a time, in the order of the slugs' bytes: the same in every locale.
CREATE INDEX skills_in_order ON skills (tenant_id, slug COLLATE "C");

-- Told at the commit to every process that listens, so that clients of every replica hear of it. It names the tenant
-- and nothing else: what changed is read by each listener with its own key.
CREATE FUNCTION announce_catalogue_change() RETURNS trigger
    LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    PERFORM pg_notify('skillkeep_catalogue', NEW.id::text);
    RETURN NULL;
END
$$;
CREATE TRIGGER catalogue_changes_are_announced AFTER UPDATE OF catalogue_revision ON tenants
    FOR EACH ROW EXECUTE FUNCTION announce_catalogue_change();
