-- Counts the bytes that each tenant stores, so that publishing can be limited.

-- The sum over the tenant's blobs. Each content counts once.
ALTER TABLE tenants ADD COLUMN stored_bytes bigint NOT NULL DEFAULT 0 CHECK (stored_bytes >= 0);

DO $$
DECLARE
    migrating_role name := current_user;
    tenant uuid;
    all_tenants uuid[];
BEGIN
    -- Only the admin role sees every tenant's row.
    SET LOCAL ROLE skillkeep_admin;
    SELECT coalesce(array_agg(t.id), '{}') INTO all_tenants FROM tenants t;
    EXECUTE format('SET LOCAL ROLE %I', migrating_role);
    FOREACH tenant IN ARRAY all_tenants LOOP
        PERFORM set_config('app.current_tenant_id', tenant::text, true);
        UPDATE tenants SET stored_bytes =
            (SELECT coalesce(sum(octet_length(b.bytes)), 0) FROM blobs b WHERE b.tenant_id = tenant)
            WHERE id = tenant;
    END LOOP;
    PERFORM set_config('app.current_tenant_id', '', true);
END
$$;

-- SECURITY DEFINER: the roles that publish must not set the count themselves.
CREATE FUNCTION count_stored_bytes() RETURNS trigger
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, public, pg_temp AS $$
BEGIN
    UPDATE public.tenants t SET stored_bytes = t.stored_bytes + changed.bytes
    FROM (SELECT c.tenant_id, sum(octet_length(c.bytes)) * CASE TG_OP WHEN 'DELETE' THEN -1 ELSE 1 END AS bytes
          FROM changed_blobs c GROUP BY c.tenant_id) AS changed
    WHERE t.id = changed.tenant_id;
    RETURN NULL;
END
$$;
REVOKE ALL ON FUNCTION count_stored_bytes() FROM PUBLIC;
CREATE TRIGGER count_stored_bytes AFTER INSERT ON blobs
    REFERENCING NEW TABLE AS changed_blobs FOR EACH STATEMENT EXECUTE FUNCTION count_stored_bytes();
CREATE TRIGGER count_deleted_bytes AFTER DELETE ON blobs
    REFERENCING OLD TABLE AS changed_blobs FOR EACH STATEMENT EXECUTE FUNCTION count_stored_bytes();
