"""Ours and each peer in turns, the same load on each, and the rows that it comes to."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable

from bench.load import Load, each
from bench.measuring import Row, say
from bench.peers.dialects import Dialect, Session
from bench.peers.running import Contenders

CONNECTIONS = 32
ROUNDS = 3

Ask = Callable[[Dialect], Awaitable[Load]]


async def compared(work: str, found: Contenders, ask: Ask, *, aim: float | None = 1.0) -> list[Row]:
    """A row for each peer: requests a second, the median of the rounds' ratios."""
    rates: dict[str, list[float]] = {}
    for number in range(1, ROUNDS + 1):
        for dialect in (found.ours.dialect, *(peer.dialect for peer in found.peers)):
            load = await ask(dialect)
            assert load.failed == 0, f"{dialect.name}: {load.failed} failed of {work}: {load.refusal}"
            rates.setdefault(dialect.name, []).append(load.per_second)
            say(f"  {work}, round {number}: {dialect.name} {load.per_second:,.1f}/s")
    ours = rates[found.ours.dialect.name]
    return [
        Row(
            work=work,
            against=peer.dialect.name,
            ours=statistics.median(ours),
            limit=statistics.median(theirs := rates[peer.dialect.name]),
            share=statistics.median(mine / other for mine, other in zip(ours, theirs, strict=True)),
            aim=aim,
            rounds=ROUNDS,
        )
        for peer in found.peers
    ] + [unmeasured(work, name, reason) for name, reason in found.missing.items()]


def unmeasured(work: str, peer: str, reason: str) -> Row:
    """The row of a peer that is not here."""
    return Row(work=work, against=peer, ours=0, limit=0, share=0, aim=None, rounds=0, missing=reason)


async def signed_up(dialect: Dialect, people: range) -> None:
    """Register so many people."""
    answers = await each(dialect.address, [dialect.register(number) for number in people])
    refused = [answer for answer in answers if answer.status not in (200, 201)]
    assert not refused, f"{dialect.name} refused to register: {refused[0]}"


async def signed_in(dialect: Dialect, people: range) -> list[Session]:
    """Log each of them in."""
    answers = await each(dialect.address, [dialect.login(number) for number in people])
    refused = [answer for answer in answers if answer.status not in (200, 201)]
    assert not refused, f"{dialect.name} refused to log in: {refused[0]}"
    return [dialect.session(answer) for answer in answers]
