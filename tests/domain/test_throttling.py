"""Growing pauses for whoever fails too often."""

from __future__ import annotations

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from domain.throttling import ALLOWANCES, LONGEST_PAUSE, pause_after


@given(st.integers(0, 10**9), st.integers(0, 10**4))
def test_no_pause_is_longer_than_half_a_minute_and_free_attempts_have_none(attempts: int, free: int) -> None:
    pause = pause_after(attempts, free)
    assert timedelta(0) <= pause <= LONGEST_PAUSE
    assert (pause == timedelta(0)) == (attempts < free)


@given(st.integers(0, 10**6), st.integers(0, 10**4))
def test_a_further_attempt_never_shortens_the_pause(attempts: int, free: int) -> None:
    assert pause_after(attempts, free) <= pause_after(attempts + 1, free)


def test_the_pauses_double() -> None:
    assert [pause_after(number, 5).total_seconds() for number in range(3, 12)] == [
        0,
        0,
        1,
        2,
        4,
        8,
        16,
        30,
        30,
    ]


def test_every_limit_is_forgotten_in_the_end() -> None:
    assert all(
        timedelta(0) < allowance.forgotten_after <= timedelta(hours=1) for allowance in ALLOWANCES.values()
    )
