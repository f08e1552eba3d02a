"""The public keys of the Auth service: kept, fetched anew in time, and once for many unknown ones."""

from __future__ import annotations

import asyncio
import logging
import time
import urllib.request
from collections.abc import Callable, Mapping
from typing import Any

import jwt
import msgspec

from domain.errors import InvalidToken, Unavailable
from infrastructure.auth_service.connection import RETRY_AFTER

ALGORITHMS: Mapping[str, str] = {"OKP": "EdDSA", "EC": "ES256", "RSA": "RS256"}
"""By type of key: what a token says of itself decides nothing."""

FRESH = 300.0
"""Seconds after which the keys are fetched anew while those at hand go on checking."""

USABLE = 3600.0
"""Seconds for which keys check at most while none can be fetched: a key that was withdrawn ends with that."""

FLOOR = 1.0
"""Seconds between two fetches at the least, however many made-up key ids are shown."""

LARGEST = 256 * 1024
SMALLEST_RSA = 2048

log = logging.getLogger("usersd.auth_service")


class PublicKeys:
    """Finds the key that a token names. `generation` grows whenever a key is withdrawn."""

    def __init__(self, url: str, *, timeout: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._timeout = timeout
        self._clock = clock
        self._keys: dict[str, jwt.PyJWK] = {}
        self._published: list[dict[str, Any]] = []
        self._fetched_at: float | None = None
        self._tried_at = -FLOOR
        self._failed = False
        self._fetching: asyncio.Task[None] | None = None
        self._download: asyncio.Future[bytes] | None = None
        self.generation = 0
        self.fetches = 0

    @property
    def jwks(self) -> dict[str, Any]:
        """The keys as they were published last (RFC 7517)."""
        return {"keys": self._published}

    def at_hand(self, kid: str) -> jwt.PyJWK | None:
        """A key that is known already."""
        return self._keys.get(kid) if self.usable else None

    @property
    def usable(self) -> bool:
        """Whether the keys at hand may check at all; old ones are fetched anew in passing."""
        if self._fetched_at is None:
            return False
        age = self._clock() - self._fetched_at
        if age > FRESH and self._fetching is None and self._clock() - self._tried_at >= FLOOR:
            self._begin()
        return age <= USABLE

    async def find(self, kid: str) -> jwt.PyJWK:
        """The key of this id. Raises InvalidToken where there is none, Unavailable where nobody can say."""
        if key := self.at_hand(kid):
            return key
        # A fetch that was under way may have left before the key was published: then one more is waited for.
        for _ in range(2):
            under_way = self._fetching is not None
            await asyncio.shield(self._fetching or self._begin())
            if self._failed:
                raise Unavailable(retry_after=RETRY_AFTER)
            if key := self._keys.get(kid):
                return key
            if not under_way:
                break
        raise InvalidToken

    async def close(self) -> None:
        if self._fetching:
            self._fetching.cancel()
            await asyncio.gather(self._fetching, return_exceptions=True)

    def _begin(self) -> asyncio.Task[None]:
        self._fetching = asyncio.create_task(self._fetch(), name="keys of the Auth service")
        return self._fetching

    async def _fetch(self) -> None:
        try:
            await asyncio.sleep(max(0.0, self._tried_at + FLOOR - self._clock()))
            self._tried_at = self._clock()
            self.fetches += 1
            self._use(await self._published_now())
        except Exception as error:
            # Whatever stands there instead of keys is an outage, and never a fault of who shows a token.
            if not self._failed:
                log.error("the keys of the Auth service cannot be fetched (%s)", type(error).__name__)
            self._failed = True
        finally:
            self._fetching = None

    async def _published_now(self) -> bytes:
        # One that comes drop by drop is not waited for, and no other is begun beside it.
        if self._download is not None and not self._download.done():
            raise TimeoutError
        self._download = asyncio.ensure_future(asyncio.to_thread(self._read))
        self._download.add_done_callback(_look_away)
        async with asyncio.timeout(self._timeout):
            return await asyncio.shield(self._download)

    def _read(self) -> bytes:
        deadline = time.monotonic() + self._timeout
        # The table of settings lets http and https through and nothing else.
        request = urllib.request.Request(self._url, headers={"User-Agent": "usersd"})  # noqa: S310
        with urllib.request.urlopen(request, timeout=self._timeout) as answer:  # noqa: S310
            text = b""
            while some := answer.read1(LARGEST + 1 - len(text)):
                text += some
                if time.monotonic() > deadline:
                    raise TimeoutError
        if len(text) > LARGEST:
            raise ValueError("too large")
        return text

    def _use(self, text: bytes) -> None:
        published = msgspec.json.decode(text)["keys"] or []
        keys = {str(one["kid"]): key for one in published if (key := _key(one)) is not None}
        if set(self._keys) - set(keys):
            self.generation += 1
        self._keys = keys
        self._published = [one for one in published if str(one.get("kid")) in keys]
        self._fetched_at, self._failed = self._clock(), False


def _key(published: Mapping[str, Any]) -> jwt.PyJWK | None:
    """A key that may check tokens; None for any other."""
    algorithm = ALGORITHMS.get(str(published.get("kty")))
    if (
        algorithm is None
        or published.get("use", "sig") != "sig"
        or "kid" not in published
        or "d" in published
    ):
        return None
    try:
        key = jwt.PyJWK(dict(published), algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, AttributeError):
        return None
    too_short = algorithm == "RS256" and key.key.key_size < SMALLEST_RSA
    other_curve = algorithm == "ES256" and published.get("crv") != "P-256"
    return None if too_short or other_curve else key


def _look_away(download: asyncio.Future[bytes]) -> None:
    """Whoever waited has gone, or was told: nobody else need hear how it ended."""
    if not download.cancelled():
        download.exception()
