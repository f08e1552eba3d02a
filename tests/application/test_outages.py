"""An outage is told once with its cause, then once a minute, and when it is over."""

from __future__ import annotations

import logging

import pytest

from application.outages import REMINDED_EVERY, Outage, first_line


@pytest.fixture
def heard(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "usersd.outage")
    return caplog


def outage(now: list[float], level: int = logging.WARNING) -> Outage:
    return Outage(logging.getLogger("usersd.outage"), "nothing is heard", level=level, clock=lambda: now[0])


def test_an_outage_that_is_tried_four_times_a_second_is_told_of_once_a_minute(
    heard: pytest.LogCaptureFixture,
) -> None:
    now = [0.0]
    tried = outage(now)
    for _ in range(int(4 * 2.5 * REMINDED_EVERY)):
        tried.goes_on("Connection refused")
        now[0] += 0.25
    tried.is_over()
    assert [(record.levelname, record.getMessage()) for record in heard.records] == [
        ("WARNING", "nothing is heard: Connection refused. It is tried again until it works"),
        ("WARNING", "nothing is heard, for 60 s now: Connection refused"),
        ("WARNING", "nothing is heard, for 120 s now: Connection refused"),
        ("INFO", "over after 150.0 s: nothing is heard"),
    ]


def test_what_works_says_nothing(heard: pytest.LogCaptureFixture) -> None:
    outage([0.0]).is_over()
    assert heard.records == []


def test_the_next_outage_is_a_new_one(heard: pytest.LogCaptureFixture) -> None:
    tried = outage([0.0])
    for _ in range(2):
        tried.goes_on("Connection refused")
        tried.is_over()
    assert [record.levelname for record in heard.records] == ["WARNING", "INFO"] * 2


def test_the_end_of_an_outage_is_no_louder_than_the_outage(heard: pytest.LogCaptureFixture) -> None:
    tried = outage([0.0], logging.DEBUG)
    tried.goes_on("Connection refused")
    tried.is_over()
    assert [record.levelname for record in heard.records] == ["DEBUG", "DEBUG"]


def test_only_the_first_line_of_what_was_said_is_told() -> None:
    assert first_line(OSError("it went away\n\tIs it there?")) == "it went away"
    assert first_line(OSError()) == "OSError"
