-- pg_catalog/table_owner: Finds the role that owns the tables, quoted as an identifier, and whether this session can act as it.
SELECT quote_ident(pg_catalog.pg_get_userbyid(c.relowner)::text) AS owner,
       pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER') AS is_reachable
FROM pg_catalog.pg_class c
WHERE c.oid = 'public.tenants'::regclass
