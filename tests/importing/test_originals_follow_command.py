"""`usersd import --follow`: killed it goes on where it was, ended it says how far it came."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
import pytest

from tests.importing.original_crowd import crowd, original
from tests.importing.original_terminal import uri
from tests.projections.commanding import settings, usersd
from tests.support.databases import Databases
from tests.support.program import USERSD, Program, program
from tests.support.waiting import at_last

COUNT = 600
WITHIN = 60.0
PLACE = "postgresql:///x"


@contextmanager
def following(made: Program, source: str, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The command while it runs."""
    arguments = [str(USERSD), "import", "--from", source, "--dialect", "magistrala", "--follow", *options]
    with (
        open(made.home / "said", "w") as said,
        subprocess.Popen(arguments, env=made.environ, cwd=made.home, stderr=said, text=True) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def events(database: str) -> tuple[int, int]:
    with psycopg.connect(database) as connection:
        found = connection.execute("SELECT count(*), count(DISTINCT stream_id) FROM events").fetchone()
    assert found
    return found


def test_killed_at_any_point_it_goes_on_and_nothing_comes_twice(databases: Databases, database: str) -> None:
    with (
        original(databases, "magistrala_users", crowd(COUNT)) as dsn,
        program(**settings(database)) as made,
    ):
        for reached in (1, COUNT // 2):
            with following(made, uri(dsn)) as process:
                at_last(lambda reached=reached: events(database)[0] >= reached, WITHIN)  # type: ignore[misc]
                os.kill(process.pid, signal.SIGKILL)
        with following(made, uri(dsn)) as process:
            at_last(lambda: events(database)[0] == COUNT, WITHIN)
            at_last(lambda: "imported" in (made.home / "said").read_text(), WITHIN)
            process.terminate()
            assert process.wait(WITHIN) == 0
        assert "the end: " in (made.home / "said").read_text()
    assert events(database) == (COUNT, COUNT)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (["--from", PLACE, "--follow"], "with its --dialect"),
        (
            ["--from", "accounts.csv", "--follow", "--dialect", "magistrala"],
            "can be followed is a database",
        ),
        (
            ["--from", PLACE, "--dialect", "mainflux", "--follow", "--dry-run"],
            "--follow goes with",
        ),
        (["--from", PLACE, "--dialect", "mainflux", "--anew"], "are for --follow"),
    ],
)
def test_what_does_not_go_together_is_said(database: str, options: list[str], complaint: str) -> None:
    done = usersd(database, "import", *options)
    assert done.code == 2
    assert complaint in " ".join(done.err.replace("│", " ").split())


def test_a_database_that_cannot_be_used_is_said_without_the_password(database: str) -> None:
    place = "postgresql://ada:hush-hush@127.0.0.1:1/users"
    done = usersd(database, "import", "--from", place, "--dialect", "mainflux", "--follow")
    assert done.code == 1
    assert "Check the address" in done.err
    assert "hush" not in done.err
