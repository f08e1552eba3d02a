"""Who wants a name that somebody before wants too waits, and nobody else does."""

from __future__ import annotations

import asyncio
from random import Random

from hypothesis import given
from hypothesis import strategies as st

from interfaces.http.turns import Turns

WISHES = st.lists(st.sets(st.sampled_from("abcde"), max_size=3), max_size=12)


@given(WISHES, st.randoms(use_true_random=False))
def test_those_who_share_a_name_go_in_their_order_and_all_get_there(
    wishes: list[set[str]], chance: Random
) -> None:
    async def all_of_them() -> list[int]:
        turns, done = Turns(), list[int]()

        async def go(number: int, names: set[str]) -> None:
            async with turns.of(names):
                for _ in range(chance.randint(0, 5)):
                    await asyncio.sleep(0)
                done.append(number)

        async with asyncio.timeout(10):
            await asyncio.gather(*(go(number, names) for number, names in enumerate(wishes)))
        assert not turns._asking
        return done

    done = asyncio.run(all_of_them())
    assert sorted(done) == list(range(len(wishes)))
    for number, names in enumerate(wishes):
        for earlier in range(number):
            if names & wishes[earlier]:
                assert done.index(earlier) < done.index(number)


async def test_who_gives_up_waiting_holds_up_nobody_and_lets_nobody_past_those_before() -> None:
    turns = Turns()
    async with asyncio.timeout(10):
        async with turns.of({"a"}):
            waiting = asyncio.create_task(turns.of({"a", "b"}).__aenter__())
            await asyncio.sleep(0)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            async with turns.of({"b"}):
                await asyncio.sleep(0)
            later = asyncio.create_task(turns.of({"a"}).__aenter__())
            await asyncio.sleep(0)
            assert not later.done()
        await later
