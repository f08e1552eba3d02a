"""Takes up new certificates when their files change or a signal asks; what is unfit changes nothing."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from infrastructure.server.certificates import Material, TlsFiles, UnfitCertificate
from infrastructure.server.rehearsal import rehearse

EVERY = 1.0
"""Seconds between two looks at the files; they have to be at rest for that long."""

log = logging.getLogger("usersd.http")


class Renewal:
    """The watch over the certificate files of the HTTP server."""

    def __init__(
        self, files: TlsFiles, in_use: Material, take_up: Callable[[Material], Awaitable[None]]
    ) -> None:
        self._files = files
        self._take_up = take_up
        self._asked = asyncio.Event()
        self._told = ""
        self.in_use = in_use

    def ask(self) -> None:
        """Read the files again at once, changed or not."""
        self._asked.set()

    async def run(self) -> None:
        """Look again and again, until cancelled."""
        done, seen = None, None
        while True:
            asked = await self._pause()
            stamp = self._files.stamp()
            # Key and certificate are seldom written at the same moment.
            at_rest, seen = stamp == seen, stamp
            if (asked or (at_rest and stamp != done)) and await self._renewed(asked):
                done = stamp

    async def _renewed(self, asked: bool) -> bool:
        """Whether what lies in the files is in use now."""
        try:
            material = self._files.read()
            if material == self.in_use:
                if asked:
                    log.info("the certificate of HTTPS was read again, and is the one in use")
                return True
            self._files.refuse_unless_valid(material, datetime.now(UTC))
            await asyncio.to_thread(rehearse, self._files, material)
        except UnfitCertificate as error:
            if asked or str(error) != self._told:
                log.error("the certificate of HTTPS stays as it was: %s", error)
                self._told = str(error)
            return False
        await self._take_up(material)
        self.in_use, self._told = material, ""
        log.info("a new certificate of HTTPS is in use; it expires at %s", material.expires_at.isoformat())
        return True

    async def _pause(self) -> bool:
        """Whether somebody asked meanwhile."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(EVERY):
                await self._asked.wait()
        asked = self._asked.is_set()
        self._asked.clear()
        return asked
