"""`usersd health`: what a container is judged by, asked of real servers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from infrastructure.server.asking import Asking
from interfaces.cli.tools import CommandFailed, Heard
from tests.support.certificates import self_signed
from tests.support.listening import listening, listening_service

Send = Callable[[dict[str, Any]], Awaitable[None]]


def answering(status: int, body: object) -> Any:
    """An application that answers everything alike."""

    async def application(scope: dict[str, Any], receive: object, send: Send) -> None:
        if scope["type"] == "http":
            await send({"type": "http.response.start", "status": status, "headers": []})
            await send({"type": "http.response.body", "body": json.dumps(body).encode()})

    return application


async def asked(port: int, role: str | None, **environ: str) -> list[Heard]:
    # Only the ports of this test are asked, since others may have theirs on this machine.
    ports = {"MG_USERS_HTTP_PORT": str(port), "MG_USERS_OPERATIONS_PORT": str(port)}
    return await asyncio.to_thread(Asking(environ | ports).health, role)


async def test_a_service_that_is_ready_is_healthy(database: str) -> None:
    async with listening_service(database) as served:
        (heard,) = await asked(served.port, "api")
    assert heard.answers
    assert heard.ready, heard.says


@pytest.mark.parametrize("clients_show_certificates", [False, True], ids=["tls", "mutual tls"])
async def test_it_is_asked_over_tls_where_it_speaks_tls(
    tmp_path: Path, clients_show_certificates: bool
) -> None:
    certificate, key = self_signed(tmp_path)
    environ = {"MG_USERS_HTTP_SERVER_CERT": str(certificate), "MG_USERS_HTTP_SERVER_KEY": str(key)}
    if clients_show_certificates:
        environ["MG_USERS_HTTP_CLIENT_CA_CERTS"] = str(certificate)
    ready = answering(200, {"status": "pass", "checks": {"postgres": "ok"}})
    async with listening(ready, **environ) as served:
        (heard,) = await asked(served.port, "relay", **environ)
    assert heard.ready, heard.says


async def test_one_that_is_not_ready_is_not_healthy_and_says_why() -> None:
    away = {"status": "fail", "checks": {"postgres": "no connection within 1 s", "schema": "ok"}}
    async with listening(answering(503, away)) as served:
        (heard,) = await asked(served.port, "projector")
    assert heard.answers
    assert not heard.ready
    assert heard.says == "not ready (postgres: no connection within 1 s)"


async def test_another_program_at_the_port_is_no_role() -> None:
    async with listening(answering(200, ["hello"])) as served:
        assert await asked(served.port, None) == []
        (heard,) = await asked(served.port, "mailer")
    assert not heard.ready
    assert heard.says == "another program answers"


async def test_nobody_is_not_healthy() -> None:
    async with listening(answering(200, {})) as served:
        port = served.port
    assert await asked(port, None) == []
    (heard,) = await asked(port, "sweeper")
    assert not heard.ready
    assert heard.says == "no answer (connection refused)"


async def test_it_takes_no_setting_but_the_addresses() -> None:
    """A database without a root key would stop every role, and starts nothing here."""
    async with listening(answering(200, {"status": "pass", "checks": {}})) as served:
        (heard,) = await asked(served.port, "run", MG_USERS_DB_HOST="db", MG_USERS_HTTP_HOST="0.0.0.0")
    assert heard.ready


def test_a_setting_that_is_wrong_is_told() -> None:
    with pytest.raises(CommandFailed, match="MG_USERS_HTTP_PORT"):
        Asking({"MG_USERS_HTTP_PORT": "http"}).health(None)
