"""A mail server that is down, refuses, stalls or hangs: nothing is lost, nobody waits, and not for ever."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

import pytest

from infrastructure.mail import sender
from infrastructure.mail.sender import Pace
from tests.mail.asking import Rows, request_reset, request_verification, told_by_us, until
from tests.mail.conftest import Clock, Mailing
from tests.support.mail_server import MailServer
from tests.support.service import ADMIN, Client
from tests.support.waiting import eventually


@pytest.mark.parametrize("kind", ["down", "451 4.3.0 later", "hanging"])
async def test_what_cannot_be_sent_for_an_hour_is_sent_then(
    mailing: Mailing, mail_server: MailServer, clock: Clock, rows: Rows, kind: str
) -> None:
    """But for the reset, for which nobody waits so long: it is dropped, and that is written down."""
    if kind == "down":
        mail_server.stop()
    elif kind == "hanging":
        mail_server.silent = True
    else:
        mail_server.at_recipient = kind
    async with mailing(MG_EMAIL_TIMEOUT="200ms") as client:
        user = await client.register()
        await request_reset(client, user["email"])
        await request_verification(client, user["email"])
        await until(rows, "attempts > 0 AND last_error IS NOT NULL", 2)
        before = clock.now()

        async def an_hour_has_gone_by() -> bool:
            # Not in one step, so that there are tries on the way.
            clock.advance(timedelta(seconds=30))
            return clock.now() - before > timedelta(hours=1)

        await eventually(an_hour_has_gone_by)
        await until(rows, "kind = 'verification' AND attempts > 3")
        await until(rows, "kind = 'password_reset' AND state = 'dropped' AND last_error = 'too late'")
        if kind == "down":
            mail_server.start()
        mail_server.silent, mail_server.at_recipient = False, ""

        async def sent_at_last() -> bool:
            # How long the next try is away depends on how many there were.
            clock.advance(timedelta(minutes=1))
            return bool(await rows("SELECT count(*) FROM mails WHERE state = 'sent'") == [(1,)])

        await eventually(sent_at_last)
        mails = await mail_server.received()
        assert {mail["Subject"] for mail in mails} == {"Email Verification"}
        assert await _told(client, user["id"], "reset_mail_dropped") == "too late"


async def _told(client: Client, user_id: str, kind: str) -> str:
    """The detail of the one fact of a kind in the security log of a user."""
    admin = await client.as_user(**ADMIN)
    details: list[str] = []

    async def there() -> bool:
        answer = await client.http.get(f"/users/{user_id}/security-log", headers=admin)
        entries = answer.json()["security_log"]
        details[:] = [entry.get("detail", "") for entry in entries if entry["kind"] == kind]
        return len(details) == 1

    await eventually(there)
    return details[0]


async def test_a_mail_that_is_too_old_is_given_up(
    client: Client, mail_server: MailServer, clock: Clock, rows: Rows
) -> None:
    mail_server.at_recipient = "451 later"
    user = await client.register()
    await request_verification(client, user["email"])
    await until(rows, "last_error IS NOT NULL")
    clock.advance(timedelta(hours=24, minutes=1))
    await until(rows, "state = 'dropped' AND last_error = 'too late'")
    clock.advance(timedelta(hours=24))
    mail_server.at_recipient = ""
    assert mail_server.mails == []


@pytest.mark.parametrize("place", ["at_recipient", "at_data"])
async def test_a_mail_that_is_refused_for_good_is_given_up(
    client: Client, mail_server: MailServer, rows: Rows, place: str
) -> None:
    setattr(mail_server, place, "550 5.1.1 nobody of that name: ada@example.com")
    user = await client.register()
    await request_reset(client, user["email"])
    await until(rows, "state = 'dropped' AND attempts = 1")
    assert await _told(client, user["id"], "reset_mail_dropped") == (
        "SMTPRecipientsRefused 550" if place == "at_recipient" else "SMTPDataError 550"
    )


async def test_no_request_and_no_reader_waits_for_a_mail_server_that_hangs(
    mailing: Mailing, mail_server: MailServer, rows: Rows
) -> None:
    mail_server.silent = True
    async with mailing(MG_EMAIL_TIMEOUT="60s") as client:
        users = [await client.register() for _ in range(sender.AT_ONCE + 2)]
        async with asyncio.timeout(15):
            for user in users:
                await request_reset(client, user["email"])
            # The log is read to its end, whatever becomes of the mails.
            await until(rows, "true", len(users))
        assert await rows("SELECT count(*) FROM mails WHERE attempts > 0") == [(sender.AT_ONCE,)]
        mail_server.silent = False
        await mail_server.received(len(users))
    assert sorted(mail_server.recipients) == sorted(user["email"] for user in users)


async def test_one_recipient_that_is_refused_holds_up_nobody_else(
    client: Client, mail_server: MailServer, rows: Rows
) -> None:
    mail_server.at_recipient = "451 later"
    first, second = await client.register(), await client.register()
    await request_reset(client, first["email"])
    await until(rows, "last_error IS NOT NULL")
    mail_server.at_recipient = ""
    await request_reset(client, second["email"])
    await mail_server.received()
    assert mail_server.recipients == [second["email"]]


def test_pauses_grow_and_have_an_end() -> None:
    pace = Pace(timedelta(seconds=2), timedelta(minutes=5))
    longest = 0.0
    for attempts, middle in ((1, 2), (2, 4), (3, 8), (7, 128), (9, 300), (1000, 300)):
        pause = pace.after(attempts).total_seconds()
        assert 0.8 * middle <= pause <= 1.2 * middle
        longest = max(longest, pause)
    assert longest <= 360


async def test_faults_are_told_without_a_name(
    client: Client, mail_server: MailServer, rows: Rows, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "usersd.mail")
    mail_server.at_recipient = "451 4.2.1 the box of canary@example.com is full"
    user = await client.register(email="canary@example.com")
    await request_reset(client, user["email"])
    await until(rows, "last_error IS NOT NULL")
    assert await rows("SELECT last_error FROM mails") == [("SMTPRecipientsRefused 451",)]
    assert "SMTPRecipientsRefused 451, try 1" in caplog.text
    assert "canary" not in told_by_us(caplog)
