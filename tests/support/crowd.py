"""A crowd of users put straight into the table that lists are read from: enough that plans matter."""

from __future__ import annotations

import psycopg
from psycopg.sql import SQL, Identifier, Literal

from projections.users.projector import Users

TABLE = "users_v1_g1"

_INDEXES = "SELECT indexname FROM pg_indexes WHERE tablename = 'users_v1_g1' AND indexname NOT LIKE '%_pkey'"

_FILL = SQL("""
INSERT INTO users_v1
SELECT gen_random_uuid(), 1, 'user' || i || '@site' || i % 97 || '.example.com', 'user' || i,
       (ARRAY['ada', 'grace', 'édouard', 'jürgen', 'mária', 'olu', 'wei', 'yuki', 'zoë', 'tomás'])
           [i % 10 + 1],
       (ARRAY['lovelace', 'hopper', 'dvořák', 'müller', '小龙女', 'adeyemi', 'zhang', 'tanaka'])
           [i / 10 % 8 + 1],
       CASE WHEN i % 50 = 0 THEN 'client ' || i ELSE '' END,
       CASE WHEN i % 20 = 0 THEN 'disabled' WHEN i % 500 = 1 THEN 'deleted' ELSE 'enabled' END,
       CASE WHEN i % 1000 = 7 THEN 'admin' ELSE 'user' END,
       timestamptz '2026-01-01 00:00Z' + i * interval '1 minute',
       timestamptz '2026-01-01 00:00Z' + (i * 7919::bigint % {users}) * interval '1 minute',
       ARRAY['sensor', 'site-' || i % 97],
       jsonb_build_object('site', i % 97, 'plan', 'basic', 'number', i),
       convert_to('{{"id":"' || repeat(md5(i::text), 12) || '"}}', 'utf8'),
       convert_to('{{"id":"' || repeat(md5(i::text), 10) || '"}}', 'utf8'),
       true
FROM generate_series(0, {users} - 1) AS i""")


_COUNT = """
INSERT INTO signups_v1
SELECT id, version, (created_at AT TIME ZONE 'UTC')::date, status, role FROM users_v1"""


def fill(conninfo: str, users: int) -> None:
    """Put so many users into empty read models, as settled as a rebuild leaves them.

    The indexes are made anew when the rows are in, as a rebuild does: many times as fast.
    """
    with psycopg.connect(conninfo, autocommit=True) as connection:
        for (index,) in connection.execute(_INDEXES).fetchall():
            connection.execute(SQL("DROP INDEX {}").format(Identifier(index)))
        connection.execute(_FILL.format(users=Literal(users)))
        connection.execute("SET maintenance_work_mem = '256MB'")
        for index in Users().indexes(TABLE):
            connection.execute(index.encode())
        connection.execute(_COUNT)
        connection.execute("VACUUM (ANALYZE) users_v1_g1")
        connection.execute("VACUUM (ANALYZE) signups_v1_g1, signups_v1_g1_totals")
