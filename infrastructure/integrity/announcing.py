"""Tells NATS of each checkpoint, so that whoever listens keeps it where nobody here can reach it."""

from __future__ import annotations

import logging

import nats.errors

from infrastructure.integrity.checkpoint import KIND, Signed
from infrastructure.nats.connection import OPEN, BrokerUnreachable, close, connect
from infrastructure.nats.credentials import Access

SUBJECT = "usersd.log.checkpoints"
"""Outside of what the stream USERS takes: a stream of the operator's own may."""

log = logging.getLogger("usersd.integrity")


class NatsAnnouncer:
    """Publishes checkpoints, at most once each: the file is what they are kept in."""

    def __init__(self, url: str, access: Access = OPEN, within: float = 4.0) -> None:
        self._url = url
        self._within = within
        self._access = access

    async def __call__(self, made: Signed) -> None:
        """Publish one; a broker that is away or refuses costs a line in the log and nothing else."""
        try:
            client = await connect(
                self._url, name="usersd checkpoints", access=self._access, within=self._within
            )
            try:
                await client.publish(SUBJECT, made.text.encode(), headers={"Content-Type": KIND})
                await client.flush(2)
            finally:
                await close(client)
        except (BrokerUnreachable, nats.errors.Error, OSError, TimeoutError) as error:
            log.info("checkpoint %d was not announced (%s)", made.checkpoint.number, type(error).__name__)
