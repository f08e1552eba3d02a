SELECT concat_ws(' ', day, status, role)
FROM (SELECT status, role, day, count(*) AS users FROM {table} GROUP BY status, role, day) AS counted
FULL JOIN (SELECT status, role, day, users FROM {table}_totals WHERE users <> 0) AS kept
    USING (status, role, day)
WHERE counted.users IS DISTINCT FROM kept.users
ORDER BY 1
