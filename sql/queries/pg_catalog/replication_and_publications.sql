-- pg_catalog/replication_and_publications: Lists publications, subscriptions, event triggers and foreign servers.
SELECT p.pubname::text AS name, 'a publication, which sends tenants'' rows to its subscribers' AS what
FROM pg_catalog.pg_publication p
WHERE p.puballtables
   OR EXISTS (SELECT FROM pg_catalog.pg_publication_rel r JOIN pg_catalog.pg_class c ON c.oid = r.prrelid
              WHERE r.prpubid = p.oid AND c.relnamespace = 'public'::regnamespace)
   OR EXISTS (SELECT FROM pg_catalog.pg_publication_namespace n WHERE n.pnpubid = p.oid AND n.pnnspid = 'public'::regnamespace)
UNION ALL
SELECT s.subname::text, 'a subscription, which writes rows as its owner'
FROM pg_catalog.pg_subscription s
WHERE s.subdbid = (SELECT oid FROM pg_catalog.pg_database WHERE datname = current_database())
UNION ALL
SELECT t.evtname::text, 'an event trigger that belongs to no extension'
FROM pg_catalog.pg_event_trigger t
WHERE NOT EXISTS (
    SELECT FROM pg_catalog.pg_depend d
    WHERE d.classid = 'pg_event_trigger'::regclass AND d.objid = t.oid AND d.deptype = 'e')
UNION ALL
SELECT s.srvname::text, 'a foreign server, through which rows can leave the database'
FROM pg_catalog.pg_foreign_server s
ORDER BY name
