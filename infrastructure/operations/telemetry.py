"""What the daily message would say, where it would go, and why it does not go anywhere."""

from __future__ import annotations

from importlib.metadata import version
from urllib.parse import urlsplit

import msgspec
import psycopg

from infrastructure.settings import Settings
from infrastructure.telemetry.call_home import COUNTED, FACTS, message_of
from interfaces.cli.output import TRY_AGAIN
from interfaces.cli.tools import CommandFailed, Telemetry


def telemetry(settings: Settings, conninfo: str) -> Telemetry:
    """Asks the database what the message would ask it, and sends nothing. Raises CommandFailed."""
    with psycopg.connect(conninfo, autocommit=True) as connection:
        try:
            row = connection.execute(FACTS, {"counted": COUNTED}).fetchone()
        except psycopg.errors.UndefinedTable:
            reason = "The database holds no users yet: run `usersd migrate` or start `usersd run` first."
            raise CommandFailed(reason, TRY_AGAIN) from None
    assert row is not None
    message = msgspec.json.encode(message_of(row, version("usersd"))).decode()
    return Telemetry(message=message, to=_receiver(settings), withheld=_withheld(settings))


def _withheld(settings: Settings) -> str:
    if not settings.telemetry_url:
        return "MG_TELEMETRY_URL names no receiver"
    return "" if settings.send_telemetry else "MG_SEND_TELEMETRY is false"


def _receiver(settings: Settings) -> str:
    """Where to, without the user and the password that may stand there, and without a query."""
    parts = urlsplit(settings.telemetry_url or "")
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="", fragment="").geturl()
