"""Go durations are read as Go reads them, within a range that makes sense here."""

from __future__ import annotations

from datetime import timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infrastructure.settings import durations

NANOSECONDS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
parts = st.lists(
    st.tuples(st.decimals("0", "5000", places=3).map(str), st.sampled_from(sorted(NANOSECONDS))), min_size=1
)


@given(parts)
def test_a_duration_is_the_sum_of_its_parts(amounts: list[tuple[str, str]]) -> None:
    exact = sum(Fraction(amount) * NANOSECONDS[unit] for amount, unit in amounts)
    text = "".join(amount + unit for amount, unit in amounts)
    if exact < 1000:
        return
    assert abs(durations.parse(text) - timedelta(microseconds=float(exact / 1000))) <= timedelta(
        microseconds=1
    )


@given(st.timedeltas(timedelta(microseconds=1), timedelta(days=3650)))
def test_what_is_shown_can_be_read_again(length: timedelta) -> None:
    # Floating-point sums of some years in microseconds are off by less than one.
    assert abs(durations.parse(durations.show(length)) - length) <= timedelta(microseconds=1)


@pytest.mark.parametrize("text", ["15m", "720h", "1h30m", "500ms", "10us", "24h1us", "1s500ms"])
def test_durations_are_shown_as_they_are_written(text: str) -> None:
    assert durations.show(durations.parse(text)) == text


def _parsed(text: str) -> timedelta | None:
    try:
        return durations.parse(text)
    except ValueError:
        return None


@given(st.text(max_size=12) | st.from_regex(r"[0-9.]{1,9}[a-zµ]{1,2}", fullmatch=True))
def test_any_text_is_a_positive_duration_or_refused(text: str) -> None:
    length = _parsed(text)
    assert length is None or length > timedelta()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("15m", 900),
        ("720h", 2_592_000),
        ("1h30m", 5400),
        ("500ms", 0.5),
        ("1.5h", 5400),
        (".5s", 0.5),
        ("+1s", 1),
    ],
)
def test_the_forms_of_the_originals_are_read(text: str, seconds: float) -> None:
    assert durations.parse(text).total_seconds() == seconds


WRONG_UNITS = ["7d", "1w", "1y", "2mo", "2mm", "1H", "PT15M", "15:00"]
WRONG_FORMS = ["24", "", "h", "1 h", "1h ", "1h-5m", "1..5s", "1e3s", "٣s"]
OUT_OF_RANGE = ["0", "0s", "-1s", "1ns", "9999999h", "9" * 400 + "h"]


@pytest.mark.parametrize("text", WRONG_UNITS + WRONG_FORMS + OUT_OF_RANGE)
def test_what_go_or_reason_refuses_is_refused(text: str) -> None:
    assert _parsed(text) is None
