"""What PostgreSQL complains of at a start: one line on what to do, and whether trying again may help."""

from __future__ import annotations

import re

import msgspec
import psycopg
from psycopg import errors

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
)
"""What a server says in a connection attempt carries no code that libpq hands on, only words.

A server that says them in another language is taken for one that may come back: its words are told alike.
"""


class Complaint(msgspec.Struct, frozen=True):
    """One line, and whether the same start may succeed a moment later."""

    line: str
    passing: bool


def complaint(error: psycopg.Error) -> Complaint | None:
    """What to tell of an error; None where it is nothing that an operator can mend."""
    said = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
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
    return Complaint(f"PostgreSQL cannot be used: {said}", passing=True)
