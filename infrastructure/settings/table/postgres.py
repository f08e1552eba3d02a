"""Where PostgreSQL, the pooler before it and its standby are."""

from __future__ import annotations

from infrastructure.settings import inherited, kinds
from infrastructure.settings.kinds import whole
from infrastructure.settings.variable import Group, Variable, both, ours

POSTGRES = Group(
    "PostgreSQL",
    (
        Variable(
            "db_host",
            both("USERS_DB_HOST"),
            kinds.POSTGRES_HOST,
            None,
            "The host of PostgreSQL.",
            unset="the embedded PostgreSQL, for `usersd run` on loopback",
        ),
        Variable(
            "db_port",
            both("USERS_DB_PORT"),
            kinds.PORT,
            "5432",
            "The port of PostgreSQL.",
            legacy=inherited.service_link,
        ),
        Variable(
            "db_user",
            both("USERS_DB_USER"),
            kinds.ANY_TEXT,
            "magistrala",
            "The user who owns the tables.",
            unset="`magistrala`, or `mainflux` where the host comes from `MF_USERS_DB_HOST`",
        ),
        Variable(
            "db_pass",
            both("USERS_DB_PASS"),
            kinds.ANY_TEXT,
            "magistrala",
            "The password of that user.",
            secret=True,
            unset="`magistrala`, or `mainflux` where the host comes from `MF_USERS_DB_HOST`",
        ),
        Variable("db_name", both("USERS_DB_NAME"), kinds.ANY_TEXT, "users", "The name of the database."),
        Variable(
            "db_ssl_mode",
            both("USERS_DB_SSL_MODE"),
            kinds.SSL_MODE,
            "disable",
            "How far the connection is encrypted and the server checked, in the words of libpq.",
        ),
        Variable(
            "db_ssl_cert", both("USERS_DB_SSL_CERT"), kinds.FILE, None, "The certificate shown to PostgreSQL."
        ),
        Variable(
            "db_ssl_key", both("USERS_DB_SSL_KEY"), kinds.FILE, None, "The private key of that certificate."
        ),
        Variable(
            "db_ssl_root_cert",
            both("USERS_DB_SSL_ROOT_CERT"),
            kinds.FILE,
            None,
            "The authorities PostgreSQL's certificate is checked against.",
        ),
        Variable(
            "db_direct_host",
            ours("DB_DIRECT_HOST"),
            kinds.POSTGRES_HOST,
            None,
            "PostgreSQL itself where `MG_USERS_DB_HOST` is a pooler; LISTEN and the appender need it.",
            unset="`MG_USERS_DB_HOST`",
        ),
        Variable(
            "db_direct_port",
            ours("DB_DIRECT_PORT"),
            kinds.PORT,
            None,
            "The port of PostgreSQL itself.",
            unset="`MG_USERS_DB_PORT`",
        ),
        Variable(
            "db_replica_host",
            ours("DB_REPLICA_HOST"),
            kinds.POSTGRES_HOST,
            None,
            "A hot standby of that PostgreSQL, for lists, searches and timelines of whoever sends "
            "`Usersd-Position`; what it lacks or does not answer, the primary answers.",
            unset="no standby is asked",
        ),
        Variable(
            "db_replica_port",
            ours("DB_REPLICA_PORT"),
            kinds.PORT,
            None,
            "The port of the standby.",
            unset="`MG_USERS_DB_PORT`",
        ),
        Variable(
            "db_replica_lists",
            ours("DB_REPLICA_LISTS"),
            kinds.BOOL,
            "false",
            "Have the standby answer lists, searches, timelines and feeds of everybody, as long as it is as "
            "far as the primary's read models.",
        ),
        Variable(
            "db_pool_size",
            ours("DB_POOL_SIZE"),
            whole(1, 1000),
            "10",
            "The most connections for reading that one process opens.",
        ),
    ),
)
