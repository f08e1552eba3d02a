"""Sends mails by SMTP, encrypted as configured or not at all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from datetime import datetime
from pathlib import Path
from typing import Literal

import aiosmtplib
import msgspec

from infrastructure.mail.composing import Composed
from infrastructure.mail.transport import Forgotten, NotNow, Undeliverable
from infrastructure.renewed import Renewed, system_authorities, trusting

Encryption = Literal["none", "starttls", "tls"]

LONGEST_TRY = 60.0
"""Seconds that a whole try may take, however slowly a server answers."""

FAREWELL = 1.0


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """The mail server. `timeout` is for each of its answers, in seconds."""

    host: str
    port: int
    encryption: Encryption
    username: str = ""
    password: str = ""
    authorities: Path | None = None
    timeout: float = 10.0


class Smtp:
    """Implements Transport: a connection for each mail."""

    def __init__(self, server: Server, sender: str) -> None:
        self._server = server
        self._sender = sender
        files = [server.authorities or system_authorities()]
        self._tls = Renewed("the SMTP server", files, lambda: trusting(server.authorities))
        self._name = socket.gethostname()

    async def deliver(self, composed: Composed) -> None:
        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            local_hostname=self._name,
            timeout=server.timeout,
            use_tls=server.encryption == "tls",
            start_tls=server.encryption == "starttls",
            tls_context=None if server.encryption == "none" else self._tls.latest(),
        )
        try:
            async with asyncio.timeout(min(6 * server.timeout, LONGEST_TRY)):
                await self._hand_over(client, composed)
        except (aiosmtplib.SMTPRecipientsRefused, aiosmtplib.SMTPDataError) as error:
            _refused(error)
        except aiosmtplib.SMTPResponseException as error:
            # Of the server or of our settings, not of the recipient: an operator can mend it.
            raise NotNow(f"{type(error).__name__} {error.code}") from None
        except (aiosmtplib.SMTPException, OSError, TimeoutError) as error:
            raise NotNow(type(error).__name__) from None
        else:
            # The server has taken the mail: how it says good-bye changes nothing.
            with contextlib.suppress(aiosmtplib.SMTPException, OSError, TimeoutError):
                await client.quit(timeout=FAREWELL)
        finally:
            client.close()

    async def tidy(self, now: datetime, forgotten: Forgotten) -> None:
        """Nothing is kept here."""

    async def _hand_over(self, client: aiosmtplib.SMTP, composed: Composed) -> None:
        await client.connect()
        await self._log_in(client)
        await client.send_message(composed.message, sender=self._sender, recipients=[composed.recipient])

    async def _log_in(self, client: aiosmtplib.SMTP) -> None:
        server = self._server
        if not server.username:
            return
        if not server.password and not client.supports_extension("auth"):
            # The originals' default names a user, and relays that know no users took their mails.
            return
        await client.login(server.username, server.password)


def _refused(error: aiosmtplib.SMTPRecipientsRefused | aiosmtplib.SMTPDataError) -> None:
    one = error.recipients[0] if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else error
    words = f"{type(error).__name__} {one.code}"
    raise (Undeliverable if one.code >= 500 else NotNow)(words) from None
