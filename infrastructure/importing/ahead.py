"""Reads a source ahead of those who store its rows, in a thread that nobody has to wait for.

A source may block for as long as it likes, on a pipe or another database: Ctrl-C is heard nevertheless.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Final

import msgspec

from application.importing import Account, Offered, faults
from domain.errors import Fault

CHUNK: Final = 1000
CHUNK_BYTES: Final = 4 * 1024 * 1024
"""Rows of a chunk may be long: this bounds what waits in memory."""
CHUNKS: Final = 2
"""One is read while another waits."""


class Checked(msgspec.Struct, frozen=True):
    """A row that was offered, and what keeps it out whatever else there is."""

    offered: Offered
    faults: Sequence[Fault]

    @property
    def account(self) -> Account | None:
        """What can be kept of the row."""
        return None if self.faults else self.offered.account


class Ahead:
    """Chunks of checked rows, a few of them ahead."""

    def __init__(self, offered: Iterator[Offered], hash_flaw: Callable[[str], str | None]) -> None:
        self._offered = offered
        self._hash_flaw = hash_flaw
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[list[Checked] | Exception] = asyncio.Queue()
        self._room = threading.Semaphore(CHUNKS)
        self._left = False
        self._thread = threading.Thread(target=self._read, name="import source", daemon=True)
        self._thread.start()

    async def next(self) -> list[Checked]:
        """The next chunk, empty at the end. Raises what the source raised, behind its last whole row."""
        chunk = await self._chunks.get()
        self._room.release()
        if isinstance(chunk, Exception):
            raise chunk
        return chunk

    def leave(self) -> None:
        """Read no further."""
        self._left = True
        self._room.release()

    def _read(self) -> None:
        try:
            while self._wanted():
                chunk, error = self._chunk()
                if chunk:
                    self._hand_over(chunk)
                if error is not None or not chunk:
                    self._hand_over(error or [])
                    return
        finally:
            if close := getattr(self._offered, "close", None):
                close()

    def _wanted(self) -> bool:
        self._room.acquire()
        return not self._left

    def _chunk(self) -> tuple[list[Checked], Exception | None]:
        chunk: list[Checked] = []
        size = 0
        try:
            for offered in self._offered:
                chunk.append(self._checked(offered))
                size += len(offered.raw or b"")
                if len(chunk) >= CHUNK or size >= CHUNK_BYTES or self._left:
                    break
        except Exception as error:  # raised anew where the chunks are taken
            return chunk, error
        return chunk, None

    def _checked(self, offered: Offered) -> Checked:
        if offered.account is None or offered.faults:
            return Checked(offered, offered.faults or (Fault("", "The row holds no account."),))
        return Checked(offered, tuple(faults(offered.account, hash_flaw=self._hash_flaw)))

    def _hand_over(self, chunk: list[Checked] | Exception) -> None:
        # Where the loop has gone, so has whoever wanted the chunk.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(self._chunks.put_nowait, chunk)
