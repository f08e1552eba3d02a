"""`usersd import` as operators call it: killed, interrupted, mended and fed again, and told in words."""

from __future__ import annotations

import asyncio
import json
import signal
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import psycopg
import pytest
from click.testing import CliRunner

from application.import_runs import Imports
from infrastructure.importing.bringing import PostgresImports
from interfaces.cli.importing import import_
from tests.importing.accounts import BCRYPT, imports_in, ndjson, row, written
from tests.projections.commanding import settings
from tests.support.databases import standing
from tests.support.program import USERSD, Ended, program
from tests.support.waiting import at_last

ROWS = [row(number) for number in range(3000)]


def events_in(conninfo: str) -> int:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        (found,) = connection.execute("SELECT count(*) FROM events").fetchone() or (0,)
    return int(found)


class Here:
    """The command line's tools on a test's own database, in this process."""

    def __init__(self, conninfo: str) -> None:
        self._standing = standing(conninfo)

    def imports(self) -> AbstractContextManager[Imports]:
        return nullcontext(PostgresImports(self._standing))


def here(conninfo: str, *arguments: str) -> Ended:
    """Run the command to its end, in this process."""
    done = CliRunner().invoke(import_, arguments, obj=Here(conninfo), env={"COLUMNS": "200"})
    return Ended(done.exit_code, done.stdout, done.stderr)


@contextmanager
def importing(conninfo: str, *arguments: str) -> Iterator[subprocess.Popen[str]]:
    """An import that goes on until it is ended."""
    with program(**settings(conninfo)) as made:
        process = subprocess.Popen(
            [str(USERSD), "import", *arguments], env=made.environ, cwd=made.home,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            process.kill()
            process.communicate()


@pytest.mark.parametrize(
    ("rows", "kills"),
    [
        (ROWS, (700, 1500)),
        pytest.param(
            [row(number) for number in range(20_000)], range(1000, 19_000, 1000), marks=pytest.mark.system
        ),
    ],
    ids=["twice", "every thousand rows"],
)
def test_killed_again_and_again_it_brings_everything_in_exactly_once(
    rows: list[dict[str, Any]], kills: Sequence[int], database: str, tmp_path: Path
) -> None:
    file = written(tmp_path / "a.ndjson", rows)
    for reached in kills:
        with importing(database, "--from", str(file), "--rate", "1500") as process:
            at_last(lambda reached=reached: events_in(database) > reached, within=60)  # type: ignore[misc]
            process.send_signal(signal.SIGKILL)
            assert process.wait() == -signal.SIGKILL
    before = events_in(database)
    assert before < len(rows)
    done = here(database, "--from", str(file), "--json")
    assert done.code == 0, done
    # What was under way when it was killed may have been stored a moment later.
    assert before <= done.rows[0]["already"] == len(rows) - done.rows[0]["imported"]
    found = asyncio.run(imports_in(database))
    assert {str(user_id): event.email for user_id, event in found.items()} == {
        each["id"]: each["email"] for each in rows
    }


def test_ended_by_ctrl_c_it_says_how_to_go_on(database: str, tmp_path: Path) -> None:
    file, rejects = written(tmp_path / "a.ndjson", [row(0, email="-"), *ROWS]), tmp_path / "rejects"
    arguments = ("--from", str(file), "--rate", "500", "--rejects", str(rejects))
    with importing(database, *arguments) as process:
        at_last(lambda: events_in(database) > 100, within=60)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        assert process.returncode == 75
    assert "Run the same command again" in err
    assert "Traceback" not in err
    assert [each.name for each in tmp_path.iterdir()] == ["a.ndjson"]


def test_ctrl_c_is_heard_while_the_source_says_nothing(database: str) -> None:
    with importing(database, "--from", "-") as process:
        assert process.stdin is not None
        process.stdin.write(ndjson(ROWS[:1000]).decode())
        process.stdin.flush()
        at_last(lambda: events_in(database) == 1000, within=60)
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=60) == 75


REFUSED: list[dict[str, Any]] = [
    row(1),
    row(2, email="USER1@example.com"),
    row(3, secret_hash="5f4dcc3b5aa765d61d8327deb882cf99"),
    row(4, shoe_size=44),
]


def test_refused_rows_are_kept_to_be_mended_and_imported(database: str, tmp_path: Path) -> None:
    file, report, rejects = tmp_path / "a.ndjson", tmp_path / "report", tmp_path / "rejects.ndjson"
    file.write_bytes(ndjson(REFUSED) + b"not json\n\n" + b'{"id":')
    arguments = ("--from", str(file), "--report", str(report), "--rejects", str(rejects))
    done = here(database, *arguments)
    assert done.code == 1, done
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    lines = rejects.read_bytes().splitlines()
    assert lines == [*ndjson(REFUSED[1:3]).splitlines(), b"not json", b'{"id":']
    reasons = [json.loads(line) for line in (tmp_path / "rejects.ndjson.reasons").read_text().splitlines()]
    assert [(each["line"], each["place"], each["code"]) for each in reasons] == [
        (1, 2, "email_taken"), (2, 3, "invalid"), (3, 5, "unreadable"), (4, 7, "unreadable"),
    ]  # fmt: skip
    told = [json.loads(line) for line in report.read_text().splitlines()]
    outcomes = [each["outcome"] for each in told]
    assert outcomes == ["imported", "refused", "refused", "imported", "refused", "refused"]
    for text in (done.out, done.err, report.read_text(), str(reasons)):
        assert "5f4dcc3b" not in text
        assert "example.com" not in text
    assert "1 rows have shoe_size" in done.out
    mended = [REFUSED[1] | {"email": "two@example.com"}, REFUSED[2] | {"secret_hash": BCRYPT}]
    rejects.write_bytes(ndjson(mended))
    assert here(database, "--from", str(rejects)).code == 0
    assert events_in(database) == 4


def test_a_rehearsal_shows_every_reason_and_stores_nothing(database: str, tmp_path: Path) -> None:
    rows = [row(number, email="one@example.com") for number in range(30)]
    done = here(database, "--from", str(written(tmp_path / "a.ndjson", rows)), "--dry-run")
    assert done.code == 1, done
    assert "would come" in done.out
    assert "email_taken" in done.out
    assert " 21 …" in done.out
    assert events_in(database) == 0


def test_refused_records_of_csv_keep_their_columns(database: str, tmp_path: Path) -> None:
    file, rejects = tmp_path / "a.csv", tmp_path / "rejects.csv"
    good, bad = row(1)["id"], row(2)["id"]
    file.write_text(
        "id,email,created_at,first_name\n"
        f"{good},a@example.com,2021-01-01T00:00:00Z,Ada\n"
        f'{bad},a@example.com,2021-01-01T00:00:00Z,"A\nB"\n'
        "too,few\n"
    )
    assert here(database, "--from", str(file), "--rejects", str(rejects)).code == 1
    text = rejects.read_text()
    assert text.startswith("id,email,created_at,first_name\n" + bad)
    reasons = [json.loads(line) for line in (tmp_path / "rejects.csv.reasons").read_text().splitlines()]
    assert [(each["line"], each["place"]) for each in reasons] == [(2, 3), (4, 5)]
    rejects.write_text(text.replace("A\nB", "A").replace("a@", "b@").replace("too,few\n", ""))
    assert here(database, "--from", str(rejects)).code == 0


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--from", "nowhere.ndjson"], "There is no file"),
        (["--from", "a.ndjson", "--dialect", "mainflux"], "for a database"),
        (["--from", "postgresql://db/users"], "--dialect"),
        (["--from", "postgresql://u:hunter2@more@db/users", "--dialect", "mainflux"], "%40"),
        (["--from", "postgresql+psycopg://u:hunter2@db/users"], "may hold a password"),
        (["--from", "a.txt"], "Say --format"),
        (["--from", "a.ndjson", "--rejects", "there.ndjson"], "is there already"),
        (["--from", "a.ndjson", "--report", "a.ndjson"], "cannot be written"),
        (["--from", "a.ndjson", "--rejects", "r", "--report", "r"], "two files"),
        (["--from", "a.ndjson", "--report", "no/report"], "There is no folder"),
    ],
)  # fmt: skip
def test_wrong_use_is_told_before_anything_is_touched(
    arguments: list[str], says: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.ndjson", "a.txt", "there.ndjson"):
        (tmp_path / name).write_text("{}\n")
    done = CliRunner().invoke(import_, arguments, env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert says in done.output
    assert "hunter2" not in done.output
    assert (tmp_path / "a.ndjson").read_text() == "{}\n"
