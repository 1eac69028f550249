-- The two roles that work with the registry: the server's and the operator's. Neither owns a table, so that
-- row level security binds both.
-- A database administrator may create them beforehand; then the migrating role needs no right to create roles.
DO $roles$
DECLARE
    wanted text;
BEGIN
    FOREACH wanted IN ARRAY ARRAY['skillkeep_app', 'skillkeep_admin'] LOOP
        IF NOT EXISTS (SELECT FROM pg_catalog.pg_roles WHERE rolname = wanted) THEN
            EXECUTE format('CREATE ROLE %I LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE NOREPLICATION', wanted);
        END IF;
    END LOOP;
    IF NOT pg_catalog.pg_has_role(current_user, 'skillkeep_admin', 'MEMBER') THEN
        EXECUTE format('GRANT skillkeep_admin TO %I', current_user);
    END IF;
    -- The operator may do as the server does: doctor proves the walls by trying them in the server's role.
    IF NOT pg_catalog.pg_has_role('skillkeep_admin', 'skillkeep_app', 'MEMBER') THEN
        GRANT skillkeep_app TO skillkeep_admin;
    END IF;
END
$roles$;

GRANT USAGE ON SCHEMA public TO skillkeep_app, skillkeep_admin;
