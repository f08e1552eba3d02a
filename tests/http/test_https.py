"""HTTPS: which versions are spoken, who is let in, and new certificates while requests go on."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from time import monotonic
from typing import Any

import httpx
import pytest
from cryptography import x509

from infrastructure.server import renewal
from infrastructure.server.sockets import CAN_LOOK
from tests.support.applications import Telling
from tests.support.certificates import DAY, HOUR, Authority
from tests.support.http2 import http2
from tests.support.listening import PATIENCE, Listening, listening
from tests.support.waiting import eventually

pytestmark = pytest.mark.skipif(not CAN_LOOK, reason="certificates are read again on Linux only")


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def app() -> Telling:
    return Telling()


@asynccontextmanager
async def client(server: Listening, trust: ssl.SSLContext, **how: Any) -> AsyncIterator[httpx.AsyncClient]:
    address = f"https://127.0.0.1:{server.port}"
    # A connection is given up by the server, or not at all.
    how.setdefault("limits", httpx.Limits(keepalive_expiry=None))
    async with httpx.AsyncClient(
        base_url=address, verify=trust, trust_env=False, timeout=PATIENCE, **how
    ) as made:
        yield made


async def serial(server: Listening, authority: Authority) -> int:
    """The number of the certificate that a new connection is shown."""
    _, writer = await asyncio.open_connection("127.0.0.1", server.port, ssl=authority.trust())
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.close()
    await writer.wait_closed()
    return x509.load_der_x509_certificate(shown).serial_number


def shows_another(server: Listening, authority: Authority, known: int) -> Callable[[], Awaitable[bool]]:
    async def look() -> bool:
        return await serial(server, authority) != known

    return look


async def test_http_2_is_spoken_with_who_offers_it_and_http_1_with_everybody_else(
    app: Telling, authority: Authority
) -> None:
    async with listening(app, **authority.server_files("HTTP")) as server:
        for http2, version in ((True, "2"), (False, "1.1")):
            async with client(server, authority.trust(), http2=http2) as asking:
                assert (await asking.get("/")).json()["version"] == version
        oldest = authority.trust()
        oldest.maximum_version = ssl.TLSVersion.TLSv1_2
        async with client(server, oldest) as asking:
            assert (await asking.get("/")).json()["scheme"] == "https"


async def test_only_who_shows_a_certificate_of_the_authority_is_let_in(
    app: Telling, authority: Authority, tmp_path: Path
) -> None:
    (tmp_path / "other").mkdir()
    other = Authority(tmp_path / "other")
    environ = authority.server_files("HTTP") | {"MG_USERS_HTTP_CLIENT_CA_CERTS": str(authority.file)}
    async with listening(app, **environ) as server:
        expired = authority.issue("CN=late", begins=-2 * HOUR, ends=-HOUR)
        for shown in (None, other.issue("CN=ui"), expired):
            async with client(server, authority.trust(shown)) as stranger:
                with pytest.raises((httpx.TransportError, ssl.SSLError)):
                    await stranger.get("/")
        assert app.calls == 0
        for http2 in (True, False):
            async with client(server, authority.trust(authority.issue("CN=ui")), http2=http2) as known:
                assert (await known.get("/")).status_code == 200


class Load:
    """Clients that ask again and again: over kept connections and new ones, by HTTP/1.1 and HTTP/2."""

    def __init__(self, server: Listening, trust: ssl.SSLContext) -> None:
        self._server, self._trust = server, trust
        self._done = asyncio.Event()
        self.answered: list[int] = []
        kinds = [(http2, anew) for http2 in (False, True) for anew in (False, True)]
        self._tasks = [asyncio.create_task(self._ask(*kind)) for kind in kinds]

    async def goes_on(self) -> None:
        """Return when fifty more have been answered."""
        wanted = len(self.answered) + 50
        await eventually(lambda: _true(len(self.answered) > wanted), PATIENCE)

    async def end(self) -> None:
        """Raises whatever a client met."""
        self._done.set()
        await asyncio.gather(*self._tasks)

    async def _ask(self, http2: bool, each_anew: bool) -> None:
        kept = 0 if each_anew else 1
        limits = httpx.Limits(max_keepalive_connections=kept, keepalive_expiry=None)
        async with client(self._server, self._trust, http2=http2, limits=limits) as asking:
            while not self._done.is_set():
                self.answered.append((await asking.get("/")).status_code)
                await asyncio.sleep(0.002)


async def test_a_new_certificate_is_taken_up_under_load_and_no_request_fails(
    app: Telling, authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    async with listening(app, **authority.server_files("HTTP")) as server:
        before, trust = await serial(server, authority), authority.trust()
        load = Load(server, trust)
        async with (
            client(server, trust) as idle,
            client(server, trust) as streaming,
            http2(server.port, authority.trust()) as streams,
        ):
            await idle.get("/")
            paths = ("/parts", "/waits")
            feeds = [asyncio.create_task(streaming.get(path)) for path in paths]
            numbers = [streams.ask(path) for path in paths]
            await load.goes_on()
            with caplog.at_level(logging.INFO, "usersd.http"):
                authority.server_files("HTTP")
                server.server.read_again()
                await eventually(lambda: _true("is in use" in caplog.text), PATIENCE)
            assert await serial(server, authority) != before
            # The connection was idle before, and its next request is answered; then it is closed.
            answer = await idle.get("/")
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
            await load.goes_on()
            # What was in flight before goes on, and a connection of HTTP/2 takes further requests.
            assert not any(feed.done() for feed in feeds)
            numbers.append(streams.ask("/"))
            app.go.set()
            assert [(await feed).status_code for feed in feeds] == [200, 200]
            assert [await streams.status(number) for number in numbers] == [200] * 3
        await load.end()
        assert set(load.answered) == {200}
        # With its last connection the server of before is gone.
        await eventually(lambda: _true(not server.server.is_renewing), PATIENCE)


async def test_changed_files_are_seen_once_they_are_at_rest_and_what_is_unfit_is_told_once(
    app: Telling, authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(renewal, "EVERY", 0.1)
    environ = authority.server_files("HTTP")
    key = Path(environ["MG_USERS_HTTP_SERVER_KEY"])
    async with listening(app, **environ) as server:
        before = await serial(server, authority)
        expires_at = server.server.expires_at
        assert expires_at is not None
        with caplog.at_level(logging.INFO, "usersd.http"):
            for spoil in (
                lambda: key.write_bytes(Authority(authority.folder, "CN=Other").issue("CN=x")[0]),
                lambda: key.unlink(),
                lambda: key.write_bytes(b"junk"),
                lambda: authority.server_files("HTTP", begins=-2 * HOUR, ends=-HOUR),
                lambda: authority.server_files("HTTP", begins=HOUR, ends=DAY),
            ):
                told = len(caplog.records)
                spoil()
                await eventually(lambda told=told: _true(len(caplog.records) > told))  # type: ignore[misc]
                assert await serial(server, authority) == before
        lines = [record.getMessage() for record in caplog.records]
        assert len(lines) == 5
        assert all(
            line.startswith("the certificate of HTTPS stays as it was: MG_USERS_HTTP_") for line in lines
        )
        assert server.server.expires_at == expires_at
        authority.server_files("HTTP", ends=timedelta(days=9))
        await eventually(lambda: _true(server.server.expires_at != expires_at))
        assert await serial(server, authority) != before
        assert server.server.expires_at == pytest.approx(expires_at + 8 * 86_400, abs=60)


async def test_certificates_that_come_by_a_link_are_seen_as_kubernetes_changes_them(
    app: Telling, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "EVERY", 0.1)
    for name in ("first", "second"):
        authority.server_files("HTTP")
        (tmp_path / name).mkdir()
        for file in ("server.pem", "server.key"):
            (tmp_path / file).rename(tmp_path / name / file)
    (tmp_path / "now").symlink_to("first")
    environ = {
        "MG_USERS_HTTP_SERVER_CERT": str(tmp_path / "now" / "server.pem"),
        "MG_USERS_HTTP_SERVER_KEY": str(tmp_path / "now" / "server.key"),
    }
    async with listening(app, **environ) as server:
        before = await serial(server, authority)
        (tmp_path / "next").symlink_to("second")
        os.replace(tmp_path / "next", tmp_path / "now")
        await eventually(shows_another(server, authority, before))


async def test_a_stop_finishes_streams_tells_clients_to_go_and_takes_nobody_new(
    app: Telling, authority: Authority
) -> None:
    async with listening(app, **authority.server_files("HTTP")) as server:
        trust = authority.trust()
        async with http2(server.port, authority.trust()) as streams, client(server, trust) as one:
            numbers = [streams.ask("/waits"), streams.ask("/parts")]
            asked = asyncio.create_task(one.get("/waits"))
            await eventually(lambda: _true(app.calls == 3))
            stopping = asyncio.create_task(server.server.stop(PATIENCE))

            async def refused() -> bool:
                try:
                    async with server.wire():
                        return False
                except ConnectionRefusedError:
                    return True

            await eventually(refused)
            assert not stopping.done()
            started = monotonic()
            app.go.set()
            assert [await streams.status(number) for number in numbers] == [200, 200]
            assert streams.goaways[-1].error_code == 0
            answer = await asked
            assert (answer.status_code, answer.headers["connection"]) == (200, "close")
            await asyncio.wait_for(stopping, PATIENCE)
            assert monotonic() - started < 5


async def test_after_a_renewal_a_stop_ends_both_servers(app: Telling, authority: Authority) -> None:
    async with listening(app, **authority.server_files("HTTP")) as server:
        before = await serial(server, authority)
        async with client(server, authority.trust()) as old, client(server, authority.trust()) as new:
            asked = [asyncio.create_task(old.get("/waits"))]
            await app.asked.wait()
            authority.server_files("HTTP")
            server.server.read_again()
            await eventually(shows_another(server, authority, before))
            asked.append(asyncio.create_task(new.get("/waits")))
            await eventually(lambda: _true(app.calls == 2))
            stopping = asyncio.create_task(server.server.stop(PATIENCE))
            app.go.set()
            assert [(await each).status_code for each in asked] == [200, 200]
            await asyncio.wait_for(stopping, PATIENCE)


async def _true(what: bool) -> bool:
    return what
