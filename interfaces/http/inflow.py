"""Takes in a body that is used while it still comes: piece by piece, and cut into lines."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Iterator

from litestar.types import Receive

from domain.errors import Fault, Invalid, Refusal
from interfaces.http.errors import STATUS, BodyTooSlow

AHEAD = 4 * 2**20
"""Bytes that are taken in before they are used: a caller who hangs up is seen only behind what they sent."""


class BodyTooLarge(Refusal):
    code = "body_too_large"
    message = "The body is larger than this service takes."


STATUS[BodyTooLarge] = 413


class HungUp(Invalid):
    """The caller has gone; nobody reads this."""

    def __init__(self) -> None:
        super().__init__(Fault("", "The connection was closed before the answer was whole."))


class Inflow:
    """The body of a request, for as long as `run` runs.

    At most `most` bytes of it are given out, and each piece has to come within so many seconds of being
    asked for.
    """

    def __init__(self, receive: Receive, *, most: int, within: float) -> None:
        self._receive = receive
        self._left = most
        self._within = within
        self._pieces: deque[bytes] = deque()
        self._held = 0
        self._whole = False
        self._end: Refusal | None = None
        self.over = asyncio.Event()
        """Set when the caller has sent all of it, or has gone."""
        self._arrived = asyncio.Event()
        self._taken = asyncio.Event()

    async def run(self) -> None:
        """Take in what comes, until the caller hangs up."""
        while (message := await self._receive())["type"] != "http.disconnect":
            # What comes behind the body is nothing but the news that the caller has gone.
            if self._whole or message["type"] != "http.request":
                continue
            self._pieces.append(message["body"])
            self._held += len(message["body"])
            if not message["more_body"]:
                self._whole = True
                self.over.set()
            self._arrived.set()
            while self._held > AHEAD and self._end is None:
                self._taken.clear()
                await self._taken.wait()
            if self._end is not None:
                self._pieces.clear()
                self._held = 0
        self.over.set()
        self.end(HungUp())

    def end(self, why: Refusal) -> None:
        """Give out nothing more; what still comes is thrown away."""
        self._end = self._end or why
        self._arrived.set()
        self._taken.set()

    def check(self) -> None:
        """Raises whatever has ended it."""
        if self._end is not None:
            raise self._end

    async def pieces(self) -> AsyncIterator[bytes]:
        """The body. Raises BodyTooSlow, BodyTooLarge, HungUp, or whatever else has ended it."""
        while (piece := await self._piece()) is not None:
            self._left -= len(piece)
            if self._left < 0:
                raise BodyTooLarge
            yield piece

    async def _piece(self) -> bytes | None:
        self.check()
        while not self._pieces:
            if self._whole:
                return None
            self._arrived.clear()
            try:
                async with asyncio.timeout(self._within):
                    await self._arrived.wait()
            except TimeoutError:
                raise BodyTooSlow from None
            self.check()
        piece = self._pieces.popleft()
        self._held -= len(piece)
        self._taken.set()
        return piece


class LineCutter:
    """Cuts pieces into lines; of one that has more than `most` bytes nothing is kept, and None given."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept = bytearray()
        self._too_long = False

    def cut(self, piece: bytes) -> Iterator[bytes | None]:
        """The lines that end within a piece, without their ends."""
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            self._keep(piece, start, end)
            yield self._line()
            start = end + 1
        self._keep(piece, start, len(piece))

    def rest(self) -> Iterator[bytes | None]:
        """What stands behind the last end of a line, if anything does."""
        if self._kept or self._too_long:
            yield self._line()

    def _keep(self, piece: bytes, start: int, end: int) -> None:
        if len(self._kept) + end - start > self._most:
            self._kept.clear()
            self._too_long = True
        if not self._too_long:
            self._kept += piece[start:end]

    def _line(self) -> bytes | None:
        line = None if self._too_long else bytes(self._kept)
        self._kept.clear()
        self._too_long = False
        return line
