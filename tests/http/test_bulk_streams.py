"""What happens while a bulk is on its way: it is answered, stopped, slow, unread, or its caller goes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from interfaces.http import bulk
from interfaces.http.bulk import AT_ONCE
from tests.http.answers import accepted, refused
from tests.http.bulks import NDJSON, Wired, after_the_first, in_lines, intake, registered, send
from tests.http.conftest import Cast, checked_service
from tests.support.listening import Listening, listening_service
from tests.support.service import ADMIN, SECRET, Client
from tests.support.waiting import eventually


async def test_an_admin_who_is_demoted_in_the_middle_registers_nobody_more(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk, "ASKED_AGAIN", 0.0)
    second = await cast.client.register()
    path = f"/users/{second['id']}/role"
    accepted(await cast.client.http.patch(path, json={"role": "admin"}, headers=cast.admin))
    headers = await cast.client.as_user(second["email"])
    bodies = [cast.client.account() for _ in range(3)]

    async def demoted() -> None:
        accepted(await cast.client.http.patch(path, json={"role": "user"}, headers=cast.admin))

    first, last = await send(cast.client, after_the_first(cast.client, demoted, bodies), headers)
    assert first["status"] == 201
    assert (last["complete"], last["status"], last["code"]) == (False, 401, "invalid_token")
    assert (last["lines"], last["created"], last["refused"]) == (1, 1, 0)
    assert not await registered(cast.client, bodies[1])


async def test_a_process_that_is_stopped_finishes_what_it_has_begun_and_says_that_it_goes(
    client: Client,
) -> None:
    bodies = [client.account() for _ in range(3)]

    async def stopped() -> None:
        intake(client).leaving.set()

    admin = await client.as_admin()
    first, last = await send(client, after_the_first(client, stopped, bodies), admin)
    assert first["status"] == 201
    assert (last["complete"], last["status"], last["code"]) == (False, 503, "unavailable")
    answer = await client.http.post("/users/bulk", content=b"", headers=admin | NDJSON)
    refused(answer, 503, "unavailable")


async def test_a_body_may_take_long_as_long_as_it_goes_on(database: str) -> None:
    async with checked_service(database, MG_USERS_HTTP_SERVER_READ_TIMEOUT="1s") as client:
        bodies = [client.account() for _ in range(5)]

        async def slowly() -> AsyncIterator[bytes]:
            for body in bodies:
                yield in_lines(body)
                await asyncio.sleep(0.3)
            await asyncio.Event().wait()

        *answers, last = await send(client, slowly(), await client.as_admin())
        assert [answer["status"] for answer in answers] == [201] * 5
        assert (last["complete"], last["status"], last["code"]) == (False, 408, "body_too_slow")


async def test_only_so_many_are_under_way_at_once(cast: Cast, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bulk, "MOST", 1)
    bodies = [cast.client.account() for _ in range(2)]

    async def another() -> None:
        answer = await cast.client.http.post("/users/bulk", content=b"", headers=cast.admin | NDJSON)
        refused(answer, 503, "unavailable")

    *answers, last = await send(cast.client, after_the_first(cast.client, another, bodies), cast.admin)
    assert [answer["status"] for answer in answers] == [201, 201]
    assert last["complete"]
    assert intake(cast.client).open == 0


async def test_a_login_waits_for_no_more_hashes_of_a_bulk_than_there_are_cores(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    hasher: Any = cast.client.service.bus.ports.hasher
    waiting: list[int] = []
    hash_one = hasher.hash

    async def counted(secret: str) -> str:
        waiting.append(hasher.waiting)
        hashed: str = await hash_one(secret)
        return hashed

    monkeypatch.setattr(hasher, "hash", counted)
    bodies = [cast.client.account() for _ in range(200)]
    sending = asyncio.create_task(send(cast.client, in_lines(*bodies), cast.admin))
    await eventually(lambda: registered(cast.client, bodies[0]))
    logins = 0
    while not sending.done() and logins < 5:
        await cast.client.login(**ADMIN)
        logins += 1
    assert not sending.done(), "five logins took longer than two hundred registrations"
    *answers, last = await sending
    assert (len(answers), last["created"]) == (200, 200)
    # Those of logins are counted too, of which there was one at a time.
    assert max(waiting) <= AT_ONCE


async def test_a_caller_who_reads_nothing_before_all_is_sent_is_served_all_the_same(
    cast: Cast, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("interfaces.http.inflow.AHEAD", 1000)
    bodies = [cast.client.account() for _ in range(60)]
    wired = Wired(cast.client, cast.admin, [in_lines(body) for body in bodies])
    calling = asyncio.create_task(wired.call())
    async with asyncio.timeout(30):
        await wired.all_sent.wait()
        wired.reads.set()
        *answers, last = await calling
    assert [answer["line"] for answer in answers] == list(range(1, 61))
    assert last["complete"]


async def test_of_a_caller_who_has_gone_no_more_is_registered_than_was_under_way(cast: Cast) -> None:
    bodies = [cast.client.account() for _ in range(200)]
    wired = Wired(cast.client, cast.admin, [in_lines(*bodies)])
    wired.reads.set()
    calling = asyncio.create_task(wired.call())
    async with asyncio.timeout(30):
        await wired.answered.wait()
        wired.hangs_up.set()
        *answers, last = await calling
    assert not last["complete"]
    assert 1 <= len(answers) < 100
    assert sum([await registered(cast.client, body) for body in bodies]) == len(answers)


async def head(server: Listening) -> bytes:
    """The beginning of a bulk by the first admin, up to what it says of its length."""
    async with server.wire() as login:
        secrets = json.dumps(ADMIN).encode()
        asking = b"POST /users/tokens/issue HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        await login.send(asking + b"Content-Length: %d\r\n\r\n" % len(secrets) + secrets)
        token = str(json.loads((await login.answer())[2])["access_token"])
    return (
        b"POST /users/bulk HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
        b"Prefer: respond-async\r\nAuthorization: Bearer " + token.encode() + b"\r\n"
    )


async def test_lines_are_answered_over_the_wire_while_the_others_still_come(database: str) -> None:
    async with listening_service(database) as server, server.wire() as wire:
        await wire.send(await head(server) + b"Transfer-Encoding: chunked\r\n\r\n")
        for number in (1, 2, 3):
            line = in_lines({"credentials": {"identity": f"{number}@x.org", "secret": SECRET}})
            await wire.send(b"%x\r\n%b\r\n" % (len(line), line))
            async with asyncio.timeout(20):
                answer = await wire.reader.readuntil(b"}\n")
            assert b'{"line":%d,"status":201,' % number in answer
        await wire.send(b"0\r\n\r\n")
        async with asyncio.timeout(20):
            assert b'{"complete":true,"lines":3,' in await wire.reader.readuntil(b"0\r\n\r\n")


async def test_whoever_is_cut_short_while_sending_is_told_why(database: str) -> None:
    async with (
        listening_service(database, MG_USERS_BULK_MAX_LINES="1") as server,
        server.wire() as wire,
    ):
        lines = b"{}\n" * 2_000_000
        await wire.send(await head(server) + b"Content-Length: %d\r\n\r\n" % len(lines) + lines)
        async with asyncio.timeout(20):
            received = await wire.reader.readuntil(b"0\r\n\r\n")
    assert b'{"line":1,"status":400,' in received
    assert b'{"complete":false,"status":413,"code":"too_many_lines"' in received
