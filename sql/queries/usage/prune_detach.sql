-- usage/prune_detach: Detaches the oldest month of usage events that ended before a day; returns its name, or NULL (admin role).
SELECT detach_usage_month($1) AS detached
