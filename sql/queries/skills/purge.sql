-- skills/purge: Deletes a skill and everything that refers to it; returns the number of deleted rows of each table.
SELECT p.table_name, p.row_count FROM purge_skill($1, $2) p
