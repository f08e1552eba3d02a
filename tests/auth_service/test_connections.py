"""How the other services are reached: certificates on both sides, and what is never written down."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import grpc
import pytest

from domain.errors import InvalidToken, Unavailable
from infrastructure.auth_service.channel import Target
from infrastructure.auth_service.client import AuthService
from infrastructure.auth_service.connection import Connection
from tests.support.certificates import Authority
from tests.support.platform.auth import Auth
from tests.support.platform.spicedb import SpiceDB

ADA = UUID(int=1)


class Secured:
    """An Auth service that asks for certificates, and ways to come to it."""

    def __init__(self, folder: Path, auth: Auth, authority: Authority) -> None:
        self.folder = folder
        self.auth = auth
        self.authority = authority

    def files(self, authority: Authority) -> dict[str, Path]:
        """A client's certificate from an authority."""
        key, certificate = authority.issue("CN=users")
        for name, content in (("client.key", key), ("client.pem", certificate)):
            (authority.folder / name).write_bytes(content)
        return {"key": authority.folder / "client.key", "certificate": authority.folder / "client.pem"}

    def client(self, **how: Any) -> AuthService:
        target = Target(address=self.auth.server.address, timeout=timedelta(seconds=10), **how)
        return AuthService(Connection("Auth service", target))


@pytest.fixture
async def secured(tmp_path: Path) -> AsyncIterator[Secured]:
    authority = Authority(tmp_path)
    pair = authority.issue("CN=auth")
    asks = grpc.ssl_server_credentials([pair], authority.certificate, require_client_auth=True)
    auth = Auth(SpiceDB(), credentials=asks)
    await auth.server.start()
    yield Secured(tmp_path, auth, authority)
    await auth.server.kill()


async def test_with_a_certificate_of_its_authority_the_auth_service_answers(secured: Secured) -> None:
    client = secured.client(authorities=secured.authority.file, **secured.files(secured.authority))
    assert await client.sessions_of(ADA) == {}
    await client.close()


async def test_without_one_or_where_the_server_is_not_known_there_is_no_answer(secured: Secured) -> None:
    (secured.folder / "other").mkdir()
    other = Authority(secured.folder / "other", "CN=Other")
    for how in (
        {},
        {"authorities": secured.authority.file},
        {"authorities": other.file, **secured.files(secured.authority)},
        {"authorities": secured.authority.file, **secured.files(other)},
    ):
        client = secured.client(**how)
        with pytest.raises(Unavailable) as caught:
            await client.sessions_of(ADA)
        assert caught.value.retry_after
        await client.close()
    assert secured.auth.calls == []


async def test_a_certificate_that_was_renewed_is_shown_without_a_restart(
    secured: Secured, caplog: pytest.LogCaptureFixture
) -> None:
    (secured.folder / "before").mkdir()
    before = Authority(secured.folder / "before", "CN=Before")
    files = secured.files(before)
    client = secured.client(authorities=secured.authority.file, **files)
    with pytest.raises(Unavailable):
        await client.sessions_of(ADA)
    key, certificate = secured.authority.issue("CN=users")
    files["certificate"].write_bytes(certificate)
    # The key is not there yet: the two do not fit, and nothing changes.
    with caplog.at_level(logging.INFO, "usersd.certificates"), pytest.raises(Unavailable):
        await client.sessions_of(ADA)
    assert "stay as they were: key values mismatch" in caplog.text
    files["key"].write_bytes(key)
    assert await client.sessions_of(ADA) == {}
    await client.close()


async def test_no_token_and_nothing_of_the_other_sides_words_is_logged(
    caplog: pytest.LogCaptureFixture,
) -> None:
    auth = Auth(SpiceDB())
    auth.status = grpc.StatusCode.INTERNAL
    await auth.server.start()
    client = AuthService(
        Connection("Auth service", Target(address=auth.server.address, timeout=timedelta(seconds=10)))
    )
    with caplog.at_level(logging.DEBUG, "usersd.auth_service"):
        for _ in range(3):
            with pytest.raises(Unavailable):
                await client.authenticate("pat_canary")
        auth.status = grpc.StatusCode.UNAUTHENTICATED
        with pytest.raises(InvalidToken):
            await client.authenticate("pat_canary")
    # Once per trouble, not once per call.
    assert len(caplog.records) == 1
    assert "INTERNAL" in caplog.text
    assert "pat_canary" not in caplog.text
    assert "as the test wants it" not in caplog.text
    await client.close()
    await auth.server.kill()
