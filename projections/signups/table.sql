CREATE TABLE {table} (
    user_id  uuid    PRIMARY KEY,
    version  bigint  NOT NULL,
    day      date    NOT NULL,      -- of creation, in UTC
    status   text    NOT NULL COLLATE "C",
    role     text    NOT NULL COLLATE "C"
) WITH (fillfactor = 80);
-- The sums over the table above, kept by its triggers: exact, and as few rows as there are days.
CREATE TABLE {table}_totals (
    status   text    NOT NULL COLLATE "C",
    role     text    NOT NULL COLLATE "C",
    day      date    NOT NULL,
    users    bigint  NOT NULL,
    PRIMARY KEY (status, role, day) INCLUDE (users)
);
-- One function for all generations; another shape of the tables has another.
CREATE OR REPLACE FUNCTION signups_v1_count() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    moved text := CASE TG_OP
        WHEN 'INSERT' THEN 'SELECT status, role, day, 1 AS users FROM came'
        WHEN 'DELETE' THEN 'SELECT status, role, day, -1 AS users FROM went'
        ELSE 'SELECT status, role, day, 1 AS users FROM came'
             ' UNION ALL SELECT status, role, day, -1 FROM went' END;
BEGIN
    EXECUTE format(
        'INSERT INTO %I.%I AS present SELECT status, role, day, sum(users) FROM (%s) AS moved'
        ' GROUP BY status, role, day HAVING sum(users) <> 0 ORDER BY status, role, day'
        ' ON CONFLICT (status, role, day) DO UPDATE SET users = present.users + excluded.users',
        TG_TABLE_SCHEMA, TG_TABLE_NAME || '_totals', moved);
    RETURN NULL;
END $$;
-- Writers take turns before they touch a row: else two who change many rows each could wait for one another.
CREATE OR REPLACE FUNCTION signups_v1_take_turns() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM pg_advisory_xact_lock(hashtextextended(TG_TABLE_SCHEMA || '.' || TG_TABLE_NAME, 0));
    RETURN NULL;
END $$
