-- installs/forget_machines: Removes the names of machines.
UPDATE installs SET machine = NULL, machine_named = false
WHERE tenant_id = $1 AND machine_named
