"""What PostgreSQL complains of: one line on what to do, and whether trying again may help."""

from __future__ import annotations

import re

import msgspec
import psycopg
from psycopg import errors

from application.outages import first_line

_REMEDIES = (
    (
        r"authentication failed|no password supplied|role .* does not exist|no such user|not permitted to",
        "Set MG_USERS_DB_USER and MG_USERS_DB_PASS to a user of that server and its password.",
    ),
    (
        r"database .* does not exist|no such database",
        "Make an empty database, and name it in MG_USERS_DB_NAME.",
    ),
    (
        r"no pg_hba\.conf entry|permission denied for database",
        "Let that user in there, or set MG_USERS_DB_USER, MG_USERS_DB_NAME and MG_USERS_DB_SSL_MODE.",
    ),
    (
        r"server does not support SSL",
        "Switch TLS on there, or set MG_USERS_DB_SSL_MODE to what goes without: disable, allow or prefer.",
    ),
    (
        r"certificate verify failed|root certificate file .* does not exist|does not match host name",
        "Set MG_USERS_DB_SSL_ROOT_CERT to the authority of that server's certificate, "
        "and MG_USERS_DB_HOST to a name in it.",
    ),
)
"""What a server says in a connection attempt carries no code that libpq hands on, only words.

A server that says them in another language is taken for one that may come back: its words are told alike.
"""

_NOBODY_THERE = r"Connection refused|failed to resolve host|No such file|[Tt]imeout|No route|unreachable"


class Complaint(msgspec.Struct, frozen=True):
    """One line, and whether the same start may succeed a moment later."""

    line: str
    passing: bool


def complaint(error: psycopg.Error) -> Complaint | None:
    """What to tell of an error; None where it is nothing that an operator can mend."""
    said = first_line(error)
    if isinstance(error, errors.InsufficientPrivilege | errors.InvalidSchemaName):
        remedy = (
            "Make the user of MG_USERS_DB_USER the owner of the database, "
            "or GRANT it CREATE on the database and on its schema."
        )
        return Complaint(f"The database user may not do what usersd needs: {said}. {remedy}", passing=False)
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return Complaint(f"PostgreSQL takes no writes: {said}.", passing=True)
    if not isinstance(error, psycopg.OperationalError):
        return None
    for words, remedy in _REMEDIES:
        if re.search(words, said):
            return Complaint(f"PostgreSQL cannot be used: {said}. {remedy}", passing=False)
    line = f"PostgreSQL cannot be used: {said}"
    if re.search(_NOBODY_THERE, said):
        line += ". Is PostgreSQL up there? MG_USERS_DB_HOST and MG_USERS_DB_PORT name it."
    return Complaint(line, passing=True)


def cause(error: Exception) -> str:
    """What to tell of an error that keeps a running service from its database, with no full stop.

    The words of connections and servers only: what a statement failed of may quote personal data.
    """
    if isinstance(error, TimeoutError):
        return "PostgreSQL does not answer"
    if isinstance(error, psycopg.InterfaceError):
        return first_line(error)
    found = complaint(error) if isinstance(error, psycopg.Error) else None
    if found is None:
        return type(error).__name__
    return first_line(error) if found.passing else found.line.removesuffix(".")
