"""A real mail server of a test's own: keeps what it is sent, and misbehaves as it is told to."""

from __future__ import annotations

import email
import email.policy
import socket
import ssl
import threading
import warnings
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from tests.support.waiting import eventually

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from aiosmtpd.controller import Controller
    from aiosmtpd.smtp import AuthResult, LoginPassword

USER, PASSWORD = "postman", "rings twice"


class MailServer:
    """Listens on one port for as long as it is up; `tls` is its certificate, `encryption` how it asks for it.

    `at_recipient` and `at_data` are what it answers there instead of taking a mail; while `silent`, it takes
    a mail's text and says nothing.
    """

    def __init__(
        self, tls: ssl.SSLContext | None = None, encryption: str = "none", *, asks_who: bool = False
    ) -> None:
        self.port = _free_port()
        self.mails: list[EmailMessage] = []
        self.recipients: list[str] = []
        self.connections = 0
        self.at_recipient = ""
        self.at_data = ""
        self.silent = False
        self._released = threading.Event()
        self._tls = tls
        self.encryption = encryption
        self._asks_who = asks_who
        self._controller: Any = None

    def start(self) -> None:
        more: dict[str, Any] = {}
        if self.encryption == "tls":
            more["ssl_context"] = self._tls
        if self.encryption == "starttls":
            more |= {"tls_context": self._tls, "require_starttls": True}
        if self.encryption == "starttls":
            # aiosmtpd does not know of its own TLS where that is there from the first byte.
            more |= {"authenticator": self._authenticate, "auth_required": self._asks_who}
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **more)
        self._controller.start()

    def stop(self) -> None:
        self._released.set()
        if self._controller is not None:
            self._controller.stop()
            self._controller = None

    def renew(self, certificate: Path, key: Path) -> None:
        """Show another certificate from now on."""
        assert self._tls is not None
        self._tls.load_cert_chain(certificate, key)

    async def received(self, count: int = 1, within: float = 10.0) -> list[EmailMessage]:
        """So many mails, once they have come."""

        async def there() -> bool:
            return len(self.mails) >= count

        await eventually(there, within)
        return self.mails

    async def handle_RCPT(
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        self.connections += 1
        if self.at_recipient:
            return self.at_recipient
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:
        await eventually(self._speaks, within=60)
        if self.at_data:
            return self.at_data
        found = email.message_from_bytes(envelope.content, policy=email.policy.default)
        self.recipients += envelope.rcpt_tos
        self.mails.append(found)
        return "250 taken"

    async def _speaks(self) -> bool:
        return not self.silent or self._released.is_set()

    def _authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, data: Any
    ) -> AuthResult:
        right = isinstance(data, LoginPassword) and (data.login, data.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=right, handled=False)


def text_of(mail: EmailMessage) -> str:
    """The part that is plain text."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content())


def html_of(mail: EmailMessage) -> str:
    """The part that is HTML."""
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content())


def link_in(mail: EmailMessage) -> str:
    """The link of a mail, which stands alone in a line of its text."""
    (link,) = [line for line in text_of(mail).splitlines() if line.startswith("http")]
    return link


def token_in(mail: EmailMessage) -> str:
    return link_in(mail).rpartition("token=")[2]


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
