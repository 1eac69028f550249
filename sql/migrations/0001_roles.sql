-- The two roles that use the schema: skillkeep_app (the server) and skillkeep_admin (administration). Neither owns a
-- table, so row level security applies to both.
-- A database administrator may create them in advance; the migrating role then does not need CREATEROLE.
DO $roles$
DECLARE
    role_name text;
BEGIN
    FOREACH role_name IN ARRAY ARRAY['skillkeep_app', 'skillkeep_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = role_name) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION', role_name);
        END IF;
    END LOOP;
    IF NOT pg_catalog.pg_has_role(current_user, 'skillkeep_admin', 'MEMBER') THEN
        EXECUTE format('GRANT skillkeep_admin TO %I', current_user);
    END IF;
    -- `skillkeep doctor` connects as skillkeep_admin and tests tenant isolation in the server's role.
    IF NOT pg_catalog.pg_has_role('skillkeep_admin', 'skillkeep_app', 'MEMBER') THEN
        GRANT skillkeep_app TO skillkeep_admin;
    END IF;
END
$roles$;

GRANT USAGE ON SCHEMA public TO skillkeep_app, skillkeep_admin;
