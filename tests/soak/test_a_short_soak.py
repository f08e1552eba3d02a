"""A short soak: our readers come out of it with every event applied once, and each naive one is found out."""

from __future__ import annotations

import pytest

from projections.catalogue import READ_MODELS
from tests.soak.campaign import soaked
from tests.soak.faults import plan
from tests.soak.judge import CHECKS
from tests.soak.measures import OURS, Measures, Report
from tests.soak.naive import READERS

SEED = 1
WRONG = {
    "position-first": "skipped",
    "rows-first": "more than once",
    "unfenced": "more than once",
    "notified": "skipped",
    "by-sequence": "skipped",
    "by-time": "skipped",
}


@pytest.fixture(scope="module")
def report() -> Report:
    """Everybody in the same storm."""
    return soaked(Measures(seconds=6, seed=SEED, readers=(OURS, *READERS), enough=800))


def test_our_readers_skip_nothing_and_apply_nothing_twice(report: Report) -> None:
    assert not report.wrong[OURS], f"seed {SEED}: {report}"
    # Where little happened, little was shown.
    assert report.events >= 800, report
    assert report.faults.total() > 10, report
    assert report.faults["kill the server"] + report.faults["crash a backend"] == 2, report
    assert report.takeovers > 4, report


@pytest.mark.parametrize("reader", WRONG)
def test_a_naive_reader_is_found_out(report: Report, reader: str) -> None:
    assert any(WRONG[reader] in fault for fault in report.wrong[reader]), f"seed {SEED}: {report}"


def test_a_careful_reader_of_the_same_making_is_not_accused(report: Report) -> None:
    assert not report.wrong["careful"], f"seed {SEED}: {report}"


def test_every_naive_reader_is_expected_to_fail() -> None:
    assert {*WRONG, "careful"} == set(READERS)


def test_every_read_model_has_an_independent_fold() -> None:
    missing = {model.name for model in READ_MODELS} - CHECKS.keys()
    assert not missing, f"add their checks to tests/support/truth.py and tests/soak/judge.py: {missing}"


def test_a_seed_makes_one_plan_of_faults() -> None:
    assert plan(7, 60, 0.5, 60, 3) == plan(7, 60, 0.5, 60, 3) != plan(8, 60, 0.5, 60, 3)
    assert len({fault.kind for fault in plan(7, 60, 0.5, 60, 3)}) == 12
