"""A platform for a users service: every service that it calls in remote mode, and the settings for them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec

from tests.support.platform.auth import Auth
from tests.support.platform.domains import Domains
from tests.support.platform.keys_page import KeysPage
from tests.support.platform.spicedb import KEY, SpiceDB
from tests.support.service import Client, running_service


class Platform(msgspec.Struct, frozen=True, kw_only=True):
    """The services, each to be killed and started by itself."""

    auth: Auth
    spicedb: SpiceDB
    domains: Domains
    keys_page: KeysPage

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead a users service here."""
        return {
            "MG_AUTH_GRPC_URL": self.auth.server.address,
            "MG_AUTH_GRPC_TIMEOUT": "5s",
            "MG_AUTH_JWKS_URL": self.keys_page.url,
            "MG_AUTH_KEYS_ALGORITHM": self.auth.algorithm,
            "MG_DOMAINS_GRPC_URL": self.domains.server.address,
            "MG_SPICEDB_HOST": "127.0.0.1",
            "MG_SPICEDB_PORT": str(self.spicedb.server.port),
            "MG_SPICEDB_PRE_SHARED_KEY": KEY,
        }

    def service(self, conninfo: str, **changes: str) -> AbstractAsyncContextManager[Client]:
        """A users service on this platform."""
        environ: dict[str, Any] = {**self.environ, **changes}
        return running_service(conninfo, **environ)


@asynccontextmanager
async def platform(algorithm: str = "EdDSA") -> AsyncIterator[Platform]:
    """All of it, started."""
    spicedb = SpiceDB()
    auth = Auth(spicedb, algorithm)
    made = Platform(auth=auth, spicedb=spicedb, domains=Domains(), keys_page=KeysPage(lambda: auth.jwks))
    servers = [auth.server, spicedb.server, made.domains.server]
    try:
        for server in servers:
            await server.start()
        yield made
    finally:
        for server in servers:
            await server.kill()
        made.keys_page.close()
