"""Kills, restarts, replicas, rebuilds, restored history: each mail gets there, and is recognisably one."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from infrastructure.mail import sender
from infrastructure.mail.rows import CLAIMED_FOR
from projections.catalogue import READ_MODELS
from tests.mail.asking import request_reset, request_verification, until
from tests.mail.conftest import Clock, Mailing
from tests.support.mail_server import MailServer, link_in, token_in
from tests.support.service import SECRET, Client, running_service
from tests.support.waiting import eventually

PROJECT = Path(__file__).parents[2]
MIGRATION = PROJECT / "infrastructure" / "postgres" / "migrations" / "0007_mail.sql"
Rows = Callable[..., Any]


@pytest.mark.parametrize("step", ["enqueue", "claim", "send", "mark"])
async def test_a_mail_survives_a_kill_between_any_two_steps(
    database: str, mailing: Mailing, mail_server: MailServer, clock: Clock, rows: Rows, step: str
) -> None:
    async with running_service(database) as silent:
        user = await silent.register()
        await request_reset(silent, user["email"])
    dying = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.mail.dying_mailer", database, str(mail_server.port), step, cwd=PROJECT
    )
    assert await asyncio.wait_for(dying.wait(), 30) == -9
    twice = step == "mark"
    assert len(mail_server.mails) == twice
    # A killed process keeps what it has claimed, and the lease, until they run out.
    clock.advance(CLAIMED_FOR)
    await rows("UPDATE reactors SET lease_until = 'epoch'")
    async with mailing() as client:
        mails = await mail_server.received(1 + twice)
        await until(rows, "state = 'sent'")
        if twice:
            assert mails[0].as_bytes() == mails[1].as_bytes()
        assert mails[0]["Message-ID"] == f"<{(await rows('SELECT id FROM mails'))[0][0]}@id.example>"
        body = {"token": token_in(mails[0]), "password": f"{SECRET}4", "confirm_password": f"{SECRET}4"}
        assert (await client.http.put("/password/reset", json=body)).status_code == 201


async def test_a_mail_sent_by_a_process_that_died_over_it_has_a_link_that_works(
    client: Client, mail_server: MailServer, rows: Rows
) -> None:
    user = await client.register()
    await request_reset(client, user["email"])
    (mail,) = await mail_server.received()
    await until(rows, "state = 'sent'")
    # As the row was before it was marked.
    await rows("UPDATE mails SET state = 'due', handed_over_at = NULL, due_at = now() + '1 minute'")
    body = {"token": token_in(mail), "password": f"{SECRET}4", "confirm_password": f"{SECRET}4"}
    assert (await client.http.put("/password/reset", json=body)).status_code == 201


async def test_what_was_asked_for_before_a_restart_is_sent_after_it(
    mailing: Mailing, mail_server: MailServer
) -> None:
    mail_server.stop()
    async with mailing() as client:
        user = await client.register()
        await request_reset(client, user["email"])
    mail_server.start()
    async with mailing():
        await mail_server.received()
    assert mail_server.recipients == [user["email"]]


async def test_two_replicas_send_each_mail_once(
    mailing: Mailing, mail_server: MailServer, rows: Rows
) -> None:
    async with mailing() as one, mailing() as other:
        users = [await one.register() for _ in range(12)]
        await asyncio.gather(
            *(request_reset(one if n % 2 else other, user["email"]) for n, user in enumerate(users))
        )
        await until(rows, "state = 'sent'", len(users))
    assert sorted(mail_server.recipients) == sorted(user["email"] for user in users)
    assert len({mail["Message-ID"] for mail in mail_server.mails}) == len(users)


async def test_a_replica_that_stops_hands_the_log_to_the_other(
    mailing: Mailing, mail_server: MailServer
) -> None:
    async with mailing() as stays:
        async with mailing() as goes:
            user = await goes.register()
            await request_reset(goes, user["email"])
            await mail_server.received()
        await request_verification(stays, user["email"])
        await mail_server.received(2)


async def test_what_happened_before_there_were_mails_is_never_mailed(
    database: str, mailing: Mailing, mail_server: MailServer, rows: Rows
) -> None:
    async with running_service(database) as old:
        user = await old.register()
        await request_reset(old, user["email"])
    await rows("DROP TABLE reactors, mails, link_tokens")
    await rows(MIGRATION.read_text("utf-8"))
    async with mailing() as client:
        await request_verification(client, user["email"])
        await mail_server.received()
        assert {mail["Subject"] for mail in mail_server.mails} == {"Email Verification"}
    assert await rows("SELECT count(*) FROM mails") == [(1,)]


async def test_a_rebuild_of_every_read_model_mails_nothing(
    client: Client, mail_server: MailServer, rows: Rows
) -> None:
    user = await client.register()
    await request_reset(client, user["email"])
    await until(rows, "state = 'sent'")
    for model in READ_MODELS:
        await rows(
            "UPDATE projections SET position = 0 WHERE name = %s AND version = %s", model.name, model.version
        )

    async def replayed() -> bool:
        head = await client.service.bus.ports.log.head()
        return bool(await rows("SELECT min(position) = %s FROM projections WHERE live", head) == [(True,)])

    await eventually(replayed)
    await request_verification(client, user["email"])
    await mail_server.received(2)
    assert len(mail_server.mails) == 2


async def test_nothing_is_sent_to_somebody_who_was_erased(
    client: Client, mail_server: MailServer, rows: Rows, database: str
) -> None:
    """Even where the request was read from the log after the erasure had begun."""
    mail_server.at_recipient = "451 later"
    user = await client.register()
    await request_reset(client, user["email"])
    await until(rows, "last_error IS NOT NULL")
    await rows("UPDATE user_keys SET wrapped = NULL, destroyed_at = now() WHERE user_id = %s", user["id"])
    mail_server.at_recipient = ""
    await rows("UPDATE mails SET due_at = '-infinity'")
    await until(rows, "true", 0)
    assert await rows("SELECT count(*) FROM link_tokens") == [(0,)]
    assert mail_server.mails == []


async def test_an_event_of_a_newer_version_is_waited_for_and_never_passed_over(
    client: Client, mail_server: MailServer, rows: Rows
) -> None:
    """It may be one that a mail follows from; who knows it takes over."""
    user = await client.register()
    await request_reset(client, user["email"])
    await until(rows, "state = 'sent'")
    await rows(
        "INSERT INTO events "
        "SELECT max(position) + 1, gen_random_uuid(), 1, 'users.unheard_of.v1', '', '', '' FROM events"
    )
    (head,) = (await rows("SELECT max(position) FROM events"))[0]

    async def held() -> bool:
        said = f"held at position {head} (users.unheard_of.v1)%"
        return bool(await rows("SELECT 1 FROM reactors WHERE last_error LIKE %s AND owner IS NULL", said))

    await eventually(held)
    assert await rows("SELECT position < %s FROM reactors", head) == [(True,)]


async def test_a_service_that_stops_does_not_wait_for_ever_for_a_mail_on_its_way(
    mailing: Mailing, mail_server: MailServer, rows: Rows, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sender, "FAREWELL", 0.1)
    mail_server.silent = True
    async with mailing(MG_EMAIL_TIMEOUT="60s") as client:
        user = await client.register()
        await request_reset(client, user["email"])
        await until(rows, "attempts = 1")
    assert await rows("SELECT state FROM mails") == [("due",)]


async def test_old_rows_are_forgotten(
    client: Client, mail_server: MailServer, clock: Clock, rows: Rows
) -> None:
    user = await client.register()
    await request_reset(client, user["email"])
    (mail,) = await mail_server.received()
    await until(rows, "state = 'sent'")
    job = client.service.mailer.job()
    assert await job.run() == ""
    clock.advance(timedelta(days=8))
    assert await job.run() == "forgot 2 old mails and links"
    # What was ours once is still known to have been.
    body = {"token": token_in(mail), "password": f"{SECRET}4", "confirm_password": f"{SECRET}4"}
    assert (await client.http.put("/password/reset", json=body)).status_code == 410
    assert link_in(mail)
