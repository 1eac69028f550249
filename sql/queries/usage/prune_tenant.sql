-- usage/prune_tenant: Deletes the tenant's events before $2; returns their number.
SELECT prune_tenant_usage($1, $2) AS row_count
