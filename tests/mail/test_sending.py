"""What is sent, when, and to whom: over real SMTP."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import pytest

from application.following import FOLLOWED
from application.messages import Context
from application.ports import Change
from domain.access import OPERATOR
from domain.events import SecretChanged
from domain.user import evolve
from infrastructure.mail.mailer import transport_of
from infrastructure.settings import load
from tests.mail.asking import told_by_us
from tests.mail.conftest import PUBLIC, Mailing
from tests.support.certificates import self_signed
from tests.support.mail_server import PASSWORD, USER, MailServer, html_of, link_in, text_of
from tests.support.service import SECRET, Client
from tests.support.waiting import eventually

NEW = "changeMe456"


async def state_of(rows: Callable[..., Any], kind: str) -> tuple[str, str]:
    """What became of the last try of the one mail of a kind."""
    found: list[tuple[str, str]] = []

    async def tried() -> bool:
        found[:] = await rows("SELECT state, last_error FROM mails WHERE kind = %s AND attempts > 0", kind)
        return bool(found) and (found[0][0] != "due" or found[0][1] is not None)

    await eventually(tried)
    return found[0]


async def test_a_mail_says_what_it_is_in_two_forms(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    await client.http.post("/password/reset-request", json={"email": user["email"].upper()})
    (mail,) = await mail_server.received()
    assert mail["From"] == "The Accounts <accounts@id.example>"
    assert mail["To"] == user["email"]
    assert mail["Subject"] == "Password Reset Request"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert mail["Message-ID"].endswith("@id.example>")
    assert mail["Date"]
    assert mail.get_content_type() == "multipart/alternative"
    link = link_in(mail)
    assert link.startswith(f"{PUBLIC}/password/reset?token=")
    assert f'href="{link}"' in html_of(mail)
    for form in (text_of(mail), html_of(mail)):
        assert "Hello ada1" in form
        assert "5 minutes" in form
        assert "The Accounts" in form


async def test_a_changed_secret_is_told_to_its_user(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    secrets = {"old_secret": SECRET, "new_secret": NEW}
    await client.http.patch("/users/secret", json=secrets, headers=headers)
    (mail,) = await mail_server.received()
    assert (mail["To"], mail["Subject"]) == (user["email"], "Your password was changed")
    assert NEW not in mail.as_string()


async def test_a_changed_email_is_told_to_both_addresses(client: Client, mail_server: MailServer) -> None:
    user = await client.register()
    headers, path = await client.as_user(user["email"]), f"/users/{user['id']}/email"
    await client.http.patch(path, json={"email": "new@example.com"}, headers=headers)
    mails = await mail_server.received(2)
    assert {mail["To"] for mail in mails} == {user["email"], "new@example.com"}
    assert {mail["Subject"] for mail in mails} == {"Your email was changed"}
    assert len({mail["Message-ID"] for mail in mails}) == 2
    (left,) = [mail for mail in mails if mail["To"] == user["email"]]
    assert "new@example.com" not in left.as_string()


async def test_another_spelling_of_an_email_is_told_once(
    client: Client, mail_server: MailServer, rows: Callable[..., Any]
) -> None:
    user = await client.register()
    headers, path = await client.as_user(user["email"]), f"/users/{user['id']}/email"
    await client.http.patch(path, json={"email": user["email"].upper()}, headers=headers)
    assert await state_of(rows, "email_left") == ("dropped", "same address")
    await mail_server.received()
    assert mail_server.recipients == [user["email"].upper()]


async def test_nobody_sends_words_of_their_own_through_us(client: Client, mail_server: MailServer) -> None:
    """A name may be anything, and anybody may register with somebody else's email."""
    account = {"name": "You won! http://evil.example", "credentials": {"identity": "a@b.c", "secret": SECRET}}
    assert (await client.http.post("/users", json=account)).status_code == 201
    await client.http.post("/password/reset-request", json={"email": "a@b.c"})
    (mail,) = await mail_server.received()
    assert "evil" not in mail.as_string()
    assert "Hello," in text_of(mail)


async def test_a_mail_reaches_addresses_beyond_ascii(client: Client, mail_server: MailServer) -> None:
    """The domain in the form that every server takes; the part before it as only some do (RFC 6531)."""
    for address, sent_to in (
        ("ada@bücher.example", "ada@xn--bcher-kva.example"),
        ("käthe@example.com", "käthe@example.com"),
    ):
        before = len(mail_server.mails)
        user = await client.register(email=address)
        await client.http.post("/password/reset-request", json={"email": user["email"]})
        await mail_server.received(before + 1)
        assert mail_server.recipients[-1] == sent_to


async def test_nothing_is_sent_for_an_account_that_was_shut_in_the_meantime(
    client: Client, mail_server: MailServer, rows: Callable[..., Any]
) -> None:
    user = await client.register()
    headers = await client.as_user(user["email"])
    mail_server.at_recipient = "451 later"
    await client.http.post("/password/reset-request", json={"email": user["email"]})
    await state_of(rows, "password_reset")
    await client.http.post(f"/users/{user['id']}/disable", headers=headers)
    mail_server.at_recipient = ""
    await rows("UPDATE mails SET due_at = '-infinity'")

    async def dropped() -> bool:
        return bool(await rows("SELECT 1 FROM mails WHERE state = 'dropped' AND last_error = 'superseded'"))

    await eventually(dropped)
    assert mail_server.mails == []


@pytest.fixture(params=["starttls", "tls"])
def strict_server(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[MailServer, Path]]:
    """A server that takes mails over TLS only, and its certificate; after STARTTLS it asks who is there."""
    certificate, key = self_signed(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server = MailServer(context, request.param, asks_who=True)
    server.start()
    yield server, certificate
    server.stop()


async def test_a_mail_goes_over_tls_to_a_server_that_asks_who_sends(
    mailing: Mailing, strict_server: tuple[MailServer, Path], rows: Callable[..., Any]
) -> None:
    server, certificate = strict_server
    settings = {
        "MG_EMAIL_PORT": str(server.port),
        "MG_EMAIL_TLS": server.encryption,
        "MG_EMAIL_CA_CERTS": str(certificate),
        "MG_EMAIL_USERNAME": USER if server.encryption == "starttls" else "",
    }
    async with mailing(**settings, MG_EMAIL_PASSWORD=PASSWORD) as client:
        user = await client.register()
        await client.http.post("/password/reset-request", json={"email": user["email"]})
        await server.received()
        # A new certificate at both ends: the next connection goes by it.
        server.renew(*self_signed(certificate.parent))
        another = await client.register()
        await client.http.post("/password/reset-request", json={"email": another["email"]})
        await server.received(2)
    await rows("DELETE FROM mails")
    if server.encryption == "starttls":
        async with mailing(**settings, MG_EMAIL_PASSWORD="wrong") as client:
            await client.http.post("/password/reset-request", json={"email": user["email"]})
            assert await state_of(rows, "password_reset") == ("due", "SMTPAuthenticationError 535")
        await rows("DELETE FROM mails")
    # Of an authority that nobody has named.
    del settings["MG_EMAIL_CA_CERTS"]
    async with mailing(**settings, MG_EMAIL_PASSWORD=PASSWORD) as client:
        await client.http.post("/password/reset-request", json={"email": user["email"]})
        state, fault = await state_of(rows, "password_reset")
        assert (state, "Connect" in fault or "Certificate" in fault or "SSL" in fault) == ("due", True)
    assert len(server.mails) == 2


async def test_where_encryption_is_asked_for_nothing_is_sent_without_it(
    mailing: Mailing, mail_server: MailServer, rows: Callable[..., Any]
) -> None:
    async with mailing(MG_EMAIL_TLS="starttls") as client:
        user = await client.register()
        await client.http.post("/password/reset-request", json={"email": user["email"]})
        assert (await state_of(rows, "password_reset"))[0] == "due"
        assert mail_server.connections == 0


@pytest.mark.parametrize(
    ("environ", "encryption"),
    [
        ({"MG_EMAIL_HOST": "mail.example"}, "starttls"),
        ({"MG_EMAIL_HOST": "mail.example", "MG_EMAIL_PORT": "465"}, "tls"),
        ({"MG_EMAIL_HOST": "mail.example", "MG_EMAIL_TLS": "none"}, "none"),
        ({"MG_EMAIL_HOST": "127.0.0.1"}, "none"),
        ({"MG_EMAIL_HOST": "localhost", "MG_EMAIL_TLS": "tls"}, "tls"),
    ],
)
def test_beyond_this_machine_mails_are_encrypted_unless_the_operator_says_no(
    environ: dict[str, str], encryption: str
) -> None:
    transport: Any = transport_of(load(environ).settings)
    assert transport._server.encryption == encryption


async def test_no_secret_address_or_name_is_logged(
    client: Client, mail_server: MailServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("DEBUG", "usersd")
    user = await client.register(email="canary@example.com")
    await client.http.post("/password/reset-request", json={"email": user["email"]})
    (mail,) = await mail_server.received()
    token = link_in(mail).rpartition("=")[2]

    async def told() -> bool:
        return "was handed over" in caplog.text

    await eventually(told)
    for canary in ("canary", token, user["credentials"]["username"]):
        assert canary not in told_by_us(caplog)


async def test_what_was_changed_in_the_service_before_this_one_is_told_by_that_one(
    client: Client, mail_server: MailServer
) -> None:
    user = await client.register()
    log = client.service.bus.ports.log
    before = await log.load(UUID(user["id"]))
    at, changed = datetime.now(UTC), SecretChanged(at=datetime.now(UTC))
    context = Context(actor=OPERATOR, at=at, command_id=uuid4(), correlation_id=FOLLOWED)
    await log.append(
        Change(before=before, after=evolve(before.user, changed), events=[changed], context=context)
    )
    headers = await client.as_user(user["email"])
    await client.http.patch(f"/users/{user['id']}/email", json={"email": "new@example.com"}, headers=headers)
    mails = await mail_server.received(2)
    assert {mail["Subject"] for mail in mails} == {"Your email was changed"}
