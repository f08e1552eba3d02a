"""A whole service in the test's own event loop: real PostgreSQL, real projectors, HTTP without a socket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from msgspec.structs import replace

from application.ports import Clock
from infrastructure.accounts.passwords import BcryptHasher
from infrastructure.bootstrap import Service, open_service
from infrastructure.first_admin import make_first_admin
from infrastructure.serving import application
from infrastructure.settings import load
from infrastructure.standing import open_keys
from tests.support.databases import standing
from tests.support.pooler import through_pooler

ADMIN = {"identity": "admin@example.com", "secret": "12345678"}
SECRET = "changeMe123"


class Client:
    """Speaks to a service as its users do."""

    def __init__(self, service: Service, http: httpx.AsyncClient) -> None:
        self.service = service
        self.http = http
        self._number = 0

    async def register(self, **changes: Any) -> dict[str, Any]:
        """Register somebody new; the answer's body."""
        answer = await self.http.post("/users", json=self.account(**changes))
        assert answer.status_code == 201, answer.text
        body: dict[str, Any] = answer.json()
        return body

    def account(self, **changes: Any) -> dict[str, Any]:
        """A body that registers somebody new, with changes."""
        self._number += 1
        return {
            "first_name": "Ada",
            "last_name": "Lovelace",
            "email": f"ada{self._number}@example.com",
            "credentials": {"username": f"ada{self._number}", "secret": SECRET},
        } | changes

    async def login(self, identity: str, secret: str = SECRET) -> dict[str, str]:
        """Log in; the tokens."""
        answer = await self.http.post("/users/tokens/issue", json={"identity": identity, "secret": secret})
        assert answer.status_code == 201, answer.text
        tokens: dict[str, str] = answer.json()
        return tokens

    async def as_user(self, identity: str, secret: str = SECRET) -> dict[str, str]:
        """The headers of somebody signed in."""
        return bearer((await self.login(identity, secret))["access_token"])

    async def as_admin(self) -> dict[str, str]:
        """The headers of the first admin."""
        return await self.as_user(**ADMIN)


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


@asynccontextmanager
async def running_service(
    conninfo: str,
    nats_url: str = "",
    *,
    project: bool = True,
    mail: bool = False,
    clock: Clock | None = None,
    replica: str | None = None,
    **environ: str,
) -> AsyncIterator[Client]:
    """A service on a database, with its projectors running; the relay only where a broker is given.

    Where mails are sent, the settings should say where to.
    """
    settings = load({"MG_USERS_BCRYPT_COST": "4", "MG_USERS_THROTTLE": "false", **environ}).settings
    ground = replace(standing(conninfo, nats_url), conninfo=through_pooler(conninfo), replica=replica)
    keys = await asyncio.to_thread(open_keys, ground)
    async with open_service(settings, ground, keys, clock=clock, hasher=BcryptHasher(4)) as service:
        await make_first_admin(service.bus, settings)
        readers = [projector.run() for projector in service.projectors] if project else []
        readers += [reactor.run() for reactor in service.reactors]
        if nats_url:
            readers += [relay.run() for relay in service.relays]
        if mail:
            readers.append(service.mailer.run())
        tasks = [asyncio.create_task(reader) for reader in readers]
        transport = httpx.ASGITransport(application(service, settings), raise_app_exceptions=False)
        try:
            async with httpx.AsyncClient(transport=transport, base_url="http://usersd") as http:
                yield Client(service, http)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
