"""What a process is called, where it keeps its files, and how it ends."""

from __future__ import annotations

from infrastructure.settings import kinds
from infrastructure.settings.variable import Group, Variable, both, ours

THE_SERVICE = Group(
    "The service",
    (
        Variable(
            "log_level", both("USERS_LOG_LEVEL"), kinds.LOG_LEVEL, "info", "The least level that is logged."
        ),
        Variable(
            "instance_id",
            both("USERS_INSTANCE_ID", "INSTANCE_ID"),
            kinds.TEXT,
            None,
            "The name of this process in health reports, traces and log lines.",
            unset="a random UUID",
        ),
        Variable(
            "data_dir",
            ours("DATA_DIR"),
            kinds.PATH,
            "./.usersd",
            "The folder of the embedded PostgreSQL and NATS, the generated root key and unsent mails.",
        ),
        Variable(
            "embedded",
            ours("EMBEDDED"),
            kinds.BOOL,
            None,
            "Whether PostgreSQL and NATS may be the embedded ones where none is named; roles that share a "
            "data folder use the servers of whoever came first, for as long as that one runs.",
            unset="only for `usersd run` on loopback",
        ),
        Variable(
            "public_url",
            ours("PUBLIC_URL"),
            kinds.WEB_URL,
            None,
            "The address under which people reach this service; links in mails begin with it.",
        ),
        Variable(
            "shutdown_timeout",
            ours("SHUTDOWN_TIMEOUT"),
            kinds.DURATION,
            "10s",
            "How long requests in flight may take to finish after SIGTERM; then they are cut off.",
        ),
        Variable(
            "shutdown_delay",
            ours("SHUTDOWN_DELAY"),
            kinds.DURATION,
            None,
            "How long after SIGTERM everything is still served while `/readyz` already answers 503, so that "
            "load balancers look away first; the time for requests in flight begins after it.",
            unset="no time at all",
        ),
    ),
)
