"""Holds attempts to their limits: lets one go on, counts it if it fails, forgives if it succeeds."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from application.limits import Limit
from application.messages import Context
from application.ports import Ports
from domain.errors import Refusal


@asynccontextmanager
async def counting(
    failures: type[Refusal], limits: Sequence[Limit], context: Context, ports: Ports
) -> AsyncIterator[None]:
    """Around an attempt that counts if it ends in such a refusal. Raises TooManyAttempts instead of it."""
    await ports.throttle.admit(limits, context.at)
    try:
        yield
    except failures:
        await ports.throttle.count(limits, context.at)
        raise
    await ports.throttle.succeeded(limits, context.at)


async def count_each(limits: Sequence[Limit], context: Context, ports: Ports) -> None:
    """Before an attempt that counts however it ends. Raises TooManyAttempts."""
    await ports.throttle.admit(limits, context.at)
    await ports.throttle.count(limits, context.at)
