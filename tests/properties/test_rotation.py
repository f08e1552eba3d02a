"""Whatever order the refreshes of a session come in, honest callers stay in and nobody keeps an old token."""

from __future__ import annotations

import hashlib
from datetime import datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from infrastructure.tokens.rotation import GRACE, MAX_REMEMBERED, Again, Chain, Reused, Rotate, shown
from tests.support.memory import NOON

LIFE = timedelta(hours=24)
SECOND = timedelta(seconds=1)


def digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def successor(token: str, at: datetime, until: datetime) -> str:
    return hashlib.sha256(f"{token} {at.isoformat()} {until.isoformat()}".encode()).hexdigest()


class Family(RuleBasedStateMachine):
    """One session; every token that it ever had is remembered by somebody."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.tokens = ["first"]
        self.used_at: list[datetime] = []
        self.chain = Chain(digest("first"))
        self.ended = False

    @rule(milliseconds=st.integers(0, 12_000))
    def time_goes_by(self, milliseconds: int) -> None:
        self.now += timedelta(milliseconds=milliseconds)

    @precondition(lambda self: not self.ended)
    @rule(back=st.integers(0, 6), skew=st.integers(-2000, 0), life=st.sampled_from([LIFE, LIFE * 2]))
    def show(self, back: int, skew: int, life: timedelta) -> None:
        """Somebody shows one of the last tokens to a replica whose clock may run behind."""
        place = max(0, len(self.tokens) - 1 - back)
        at = self.now + timedelta(milliseconds=skew)
        outcome = shown(self.tokens[place], self.chain, at, life, successor, digest)
        if place == len(self.tokens) - 1:
            assert isinstance(outcome, Rotate)
            self.tokens.append(outcome.token)
            self.used_at.append(at)
            self.chain = outcome.chain
        elif at - self.used_at[place] <= GRACE:
            # Not the one after it, which may be used up as well by now.
            assert outcome == Again(self.tokens[-1])
        else:
            assert outcome == Reused()
            self.ended = True

    @rule()
    def what_is_remembered_is_bounded(self) -> None:
        assert len(self.chain.used) <= MAX_REMEMBERED


TestFamily = Family.TestCase


@given(st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 20)), max_size=80))
def test_threads_that_share_a_token_are_never_logged_out(steps: list[tuple[int, bool, int]]) -> None:
    """Four threads show what their program held when they began, however late within the grace that arrives.

    An answer may be lost; one that comes replaces the token that was shown, if the program holds that still.
    """
    now, chain, held = NOON, Chain(digest("first")), "first"
    on_its_way: dict[int, str] = {}
    used_at: dict[str, datetime] = {}
    for thread, lost, pause in steps:
        known = {held, *on_its_way.values()} & used_at.keys()
        now = min(now + pause * SECOND, *(used_at[token] + GRACE for token in known), NOON + 1000 * LIFE)
        if thread not in on_its_way:
            on_its_way[thread] = held
            continue
        token = on_its_way.pop(thread)
        outcome = shown(token, chain, now, LIFE, successor, digest)
        assert isinstance(outcome, Rotate | Again)
        if isinstance(outcome, Rotate):
            chain, used_at[token] = outcome.chain, now
        assert digest(outcome.token) == chain.current
        if not lost and held == token:
            held = outcome.token


@given(st.integers(1, 40), st.integers(1, 30_000))
def test_a_token_is_honoured_for_no_longer_than_its_grace_however_often_the_session_rotates(
    rotations: int, milliseconds: int
) -> None:
    chain, token = Chain(digest("stolen")), "stolen"
    for number in range(rotations):
        at = NOON + number * GRACE / 40
        outcome = shown(token, chain, at, LIFE, successor, digest)
        assert isinstance(outcome, Rotate)
        chain, token = outcome.chain, outcome.token
    late = NOON + GRACE + timedelta(milliseconds=milliseconds)
    assert shown("stolen", chain, late, LIFE, successor, digest) == Reused()
