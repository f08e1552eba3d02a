"""A body that is used while it still comes: cut into lines wherever its pieces end, and bounded."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.errors import Refusal, Unavailable
from interfaces.http import inflow
from interfaces.http.errors import BodyTooSlow
from interfaces.http.inflow import BodyTooLarge, HungUp, Inflow, LineCutter

MOST = 8


def cut(pieces: list[bytes]) -> Iterator[bytes | None]:
    cutter = LineCutter(MOST)
    for piece in pieces:
        yield from cutter.cut(piece)
    yield from cutter.rest()


@given(st.lists(st.binary(max_size=20).map(lambda piece: piece.replace(b"x", b"\n"))))
def test_lines_are_the_same_wherever_the_pieces_end(pieces: list[bytes]) -> None:
    *ended, rest = b"".join(pieces).split(b"\n")
    expected = [*ended, rest] if rest else ended
    assert list(cut(pieces)) == [line if len(line) <= MOST else None for line in expected]


def test_of_a_line_that_is_too_long_nothing_is_kept() -> None:
    cutter = LineCutter(MOST)
    for _ in range(100):
        assert list(cutter.cut(b"x" * 1000)) == []
        assert len(cutter._kept) <= MOST
    assert list(cutter.cut(b"\nshort\n")) == [None, b"short"]


class Caller:
    """Sends what a test says, and counts how often it was asked for more."""

    def __init__(self, *pieces: bytes, ends: bool = True) -> None:
        self._messages: list[dict[str, Any]] = [
            {"type": "http.request", "body": piece, "more_body": not ends or place < len(pieces)}
            for place, piece in enumerate(pieces, 1)
        ]
        self.asked = 0
        self.hangs_up = asyncio.Event()

    async def __call__(self) -> Any:
        self.asked += 1
        if self._messages:
            return self._messages.pop(0)
        await self.hangs_up.wait()
        return {"type": "http.disconnect"}


async def taken(
    caller: Caller, *, most: int = 100, within: float = 5.0
) -> tuple[list[bytes], Refusal | None]:
    """The pieces that were given out, and what ended them."""
    flow = Inflow(caller, most=most, within=within)
    running = asyncio.create_task(flow.run())
    pieces: list[bytes] = []
    try:
        async for piece in flow.pieces():
            pieces.append(piece)
    except Refusal as refusal:
        return pieces, refusal
    finally:
        running.cancel()
    return pieces, None


async def test_a_whole_body_is_given_out_piece_by_piece() -> None:
    assert await taken(Caller(b"a", b"", b"b")) == ([b"a", b"", b"b"], None)


async def test_more_than_allowed_is_not_given_out() -> None:
    pieces, ended = await taken(Caller(b"aaa", b"bbb", b"ccc"), most=6)
    assert pieces == [b"aaa", b"bbb"]
    assert isinstance(ended, BodyTooLarge)


async def test_a_body_that_does_not_go_on_is_not_waited_for() -> None:
    pieces, ended = await taken(Caller(b"a", ends=False), within=0.05)
    assert pieces == [b"a"]
    assert isinstance(ended, BodyTooSlow)


async def test_a_caller_who_hangs_up_in_the_middle_is_noticed() -> None:
    caller = Caller(b"a", ends=False)
    caller.hangs_up.set()
    _, ended = await taken(caller)
    assert isinstance(ended, HungUp)


async def test_it_is_noticed_behind_the_end_too_while_lines_are_still_carried_out() -> None:
    caller = Caller(b"a", b"b")
    flow = Inflow(caller, most=100, within=5.0)
    running = asyncio.create_task(flow.run())
    pieces = flow.pieces()
    assert await anext(pieces) == b"a"
    caller.hangs_up.set()
    await running
    with pytest.raises(HungUp):
        await anext(pieces)


async def test_whoever_ends_it_first_says_why() -> None:
    flow = Inflow(Caller(), most=100, within=5.0)
    flow.end(Unavailable("stopping"))
    flow.end(HungUp())
    with pytest.raises(Unavailable, match="stopping"):
        flow.check()


async def test_what_comes_after_its_end_is_thrown_away_and_the_end_of_it_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(inflow, "AHEAD", 10)
    flow = Inflow(Caller(*[b"x" * 4] * 20), most=1000, within=5.0)
    running = asyncio.create_task(flow.run())
    assert await anext(flow.pieces()) == b"x" * 4
    flow.end(Unavailable())
    async with asyncio.timeout(5):
        await flow.over.wait()
    running.cancel()


async def test_no_more_is_taken_in_ahead_than_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inflow, "AHEAD", 10)
    caller = Caller(*[b"x" * 4] * 20)
    flow = Inflow(caller, most=1000, within=5.0)
    running = asyncio.create_task(flow.run())
    for _ in range(50):
        await asyncio.sleep(0)
    assert caller.asked == 3
    assert len([piece async for piece in flow.pieces()]) == 20
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
