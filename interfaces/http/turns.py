"""Keeps lines that are carried out side by side in their order where they want the same name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager


class Turns:
    """Who comes first for a name goes first; who wants other names waits for nobody.

    A waiter waits for earlier ones alone, so that no two ever wait for one another.
    """

    def __init__(self) -> None:
        self._asking: dict[str, list[asyncio.Event]] = {}

    @asynccontextmanager
    async def of(self, names: Iterable[str]) -> AsyncIterator[None]:
        """Enter when everybody who asked before for one of these names has left."""
        wanted = set(names)
        earlier = [other for name in wanted for other in self._asking.get(name, ())]
        left = asyncio.Event()
        for name in wanted:
            self._asking.setdefault(name, []).append(left)
        try:
            for other in earlier:
                await other.wait()
            yield
        finally:
            left.set()
            for name in wanted:
                self._asking[name].remove(left)
                if not self._asking[name]:
                    del self._asking[name]
