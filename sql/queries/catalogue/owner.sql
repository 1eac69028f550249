-- catalogue/owner: to whom the tables belong, as it is written in a statement, and whether this session may act as him.
SELECT quote_ident(pg_catalog.pg_get_userbyid(c.relowner)::text) AS owner,
       pg_catalog.pg_has_role(session_user, c.relowner, 'MEMBER') AS is_reachable
FROM pg_catalog.pg_class c
WHERE c.oid = 'public.tenants'::regclass
