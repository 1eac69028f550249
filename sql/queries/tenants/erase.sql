-- tenants/erase: erases everything of the current tenant but its audit log; answers how many rows of each table went.
SELECT erased.table_name, erased.row_count FROM erase_tenant($1) AS erased
