-- tenants/erase: Erases all data of the current tenant but its audit log; returns the number of deleted rows of each table.
SELECT erased.table_name, erased.row_count FROM erase_tenant($1) AS erased
