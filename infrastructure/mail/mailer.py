"""The mailer: one part reads the log, the other sends, and neither waits for the other or for a request."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections import Counter
from datetime import timedelta
from typing import cast

import msgspec
from psycopg_pool import AsyncConnectionPool

from application.link_tokens import LinkKind
from application.ports import Clock
from application.security import SecurityLog
from infrastructure.logs import marks
from infrastructure.mail import rows
from infrastructure.mail.composing import Composer
from infrastructure.mail.composing import Sender as From
from infrastructure.mail.follower import Follower
from infrastructure.mail.outbox import Outbox
from infrastructure.mail.sender import Pace, Sender
from infrastructure.mail.smtp import Encryption, Server, Smtp
from infrastructure.mail.transport import Transport
from infrastructure.mail.wording import Templates
from infrastructure.postgres.reactors import WakeUp
from infrastructure.settings import Settings
from infrastructure.settings.address import own_address
from infrastructure.settings.refusals import is_loopback, listens_beyond_loopback
from infrastructure.standing import Keys, Standing
from infrastructure.tokens.links import LinkTokens
from interfaces.scheduler import Job

FOLDER = "mail"
_SMTPS = 465

log = logging.getLogger("usersd.mail")


class Surroundings(msgspec.Struct, frozen=True, kw_only=True):
    """What the mailer needs of the service around it; `port` is the one that its pages are served at."""

    pool: AsyncConnectionPool
    wake_up: WakeUp
    clock: Clock
    security_log: SecurityLog
    port: int


class Mailer:
    """Sends the mails that follow from events, for as long as `run` runs."""

    def __init__(
        self,
        follower: Follower,
        sender: Sender,
        pool: AsyncConnectionPool,
        clock: Clock,
        doubtful_address: str = "",
    ) -> None:
        self._doubtful_address = doubtful_address
        self._follower = follower
        self._sender = sender
        self._pool = pool
        self._clock = clock

    @property
    def tried(self) -> Counter[tuple[str, str]]:
        """How many tries of each kind of mail came to what, in this process."""
        return self._sender.tried

    async def run(self) -> None:
        """Run until cancelled; neither part ends by itself."""
        if self._doubtful_address:
            log.warning(
                "links in mails lead to %s: set MG_USERS_PUBLIC_URL to where people reach this",
                self._doubtful_address,
            )
        async with asyncio.TaskGroup() as parts:
            parts.create_task(self._follower.run(), name="mail follower")
            parts.create_task(self._sender.run(), name="mail sender")

    def job(self) -> Job:
        """The regular work: forget what became of mails long ago."""
        return Job("mails", timedelta(hours=1), self._tidy)

    async def _tidy(self) -> str:
        total = 0
        async with self._pool.connection() as connection:
            while done := await rows.tidy(connection, self._clock.now()):
                total += done
        return f"forgot {total} old mails and links" if total else ""


def make_mailer(
    settings: Settings, standing: Standing, keys: Keys, around: Surroundings, pace: Pace | None = None
) -> Mailer:
    """The mailer that the settings describe. Raises wording.TemplateError."""
    tokens = LinkTokens(keys.keyring)
    composer = Composer(
        templates_of(settings),
        tokens,
        prefixes(settings, around.port),
        From(settings.email_from_address, settings.email_from_name),
    )
    sender = Sender(
        around.pool,
        keys.reader,
        composer,
        transport_of(settings),
        around.clock,
        around.security_log,
        pace or Pace(),
    )
    follower = Follower(tokens, standing.direct, around.wake_up, sender.wake)
    return Mailer(follower, sender, around.pool, around.clock, doubtful_address(settings, around.port))


def templates_of(settings: Settings) -> Templates:
    """Our own templates, and the operator's where they are named. Raises wording.TemplateError."""
    return Templates(
        {
            "password_reset": settings.password_reset_email_template,
            "verification": settings.verification_email_template,
        }
    )


def prefixes(settings: Settings, port: int) -> dict[LinkKind, str]:
    """What links begin with: what is configured, else the pages of this service at its own address.

    What a request says of where it was sent to, or comes from, has no part in it.
    """
    own = own_address(settings, port)
    return {
        "password_reset": settings.password_reset_url_prefix or f"{own}/password/reset",
        "verification": settings.verification_url_prefix or f"{own}/verify-email",
    }


def doubtful_address(settings: Settings, port: int) -> str:
    """Where links lead that nobody has named a place for, though people may know the service by another."""
    named = settings.password_reset_url_prefix and settings.verification_url_prefix
    return "" if named or not listens_beyond_loopback(settings) else own_address(settings, port)


def transport_of(settings: Settings) -> Transport:
    """SMTP where a server is named, else files."""
    if settings.email_host is None:
        shows_all = not listens_beyond_loopback(settings)
        return Outbox(settings.data_dir / FOLDER, _to_stdout, shows_all=shows_all, marks=marks())
    server = Server(
        host=settings.email_host,
        port=settings.email_port,
        encryption=_encryption(settings),
        username=settings.email_username,
        password=settings.email_password.reveal() if settings.email_password else "",
        authorities=settings.email_ca_certs,
        timeout=settings.email_timeout.total_seconds(),
    )
    return Smtp(server, settings.email_from_address)


def _encryption(settings: Settings) -> Encryption:
    if settings.email_tls is not None:
        return cast(Encryption, settings.email_tls)
    if settings.email_port == _SMTPS:
        return "tls"
    return "none" if is_loopback(settings.email_host or "") else "starttls"


def _to_stdout(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
