"""One line of JSON for each thing that is told, whoever tells it, and nobody's values in it."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from io import StringIO
from typing import Any

import pytest

from infrastructure.logs import JsonLines
from interfaces.http.access_log import AccessLog
from tests.support.service import Client

CANARY = "canary-Zq9"


@pytest.fixture
def written() -> Iterator[StringIO]:
    """What the service's own loggers write, in its own form."""
    stream = StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("usersd")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield stream
    logger.removeHandler(handler)
    logger.setLevel(before)


def line_of(message: object, *args: object, name: str = "usersd.x", **more: Any) -> dict[str, Any]:
    """A record as it is written: it must be one line of JSON."""
    level = more.pop("level", logging.INFO)
    record = logging.LogRecord(name, level, "x.py", 1, message, args, more.pop("exc_info", None))
    record.__dict__.update(more)
    text = JsonLines().format(record)
    assert len(text.splitlines()) == 1
    assert text.isprintable()
    line: dict[str, Any] = json.loads(text)
    return line


def test_the_time_is_that_of_rfc_3339_in_utc() -> None:
    time = line_of("x")["time"]
    assert time.endswith("Z")
    assert datetime.fromisoformat(time).utcoffset() == timedelta(0)


@pytest.mark.parametrize(
    ("number", "name"),
    [(5, "DEBUG"), (10, "DEBUG"), (20, "INFO"), (25, "INFO"), (30, "WARN"), (40, "ERROR"), (50, "ERROR")],
)
def test_there_are_the_four_levels_of_the_originals_and_no_other(number: int, name: str) -> None:
    assert line_of("x", level=number)["level"] == name


@pytest.mark.parametrize(
    "character",
    [
        "\n",
        "\r\n",
        "\x00",
        "\x1b[2J",
        "\x7f",
        "\x85",
        "\x9b31m",
        "\u2028",
        "\u2029",
        "\u202e",
        "\u2066",
        "\t",
    ],
    ids=ascii,
)
def test_what_a_terminal_would_act_upon_is_escaped(character: str) -> None:
    said = f"before{character}after"
    line = line_of("%s", said, detail=said)
    assert line["msg"] == line["detail"] == said


@pytest.mark.parametrize(
    "value", ["\ud800", 2**70, object(), {1, 2}, float("nan")], ids=lambda one: str(type(one))
)
def test_a_value_that_json_has_no_form_for_does_not_cost_the_line(value: object) -> None:
    line = line_of("said", detail=value)
    assert line["msg"] == "said"
    assert "detail" in line


def test_words_that_do_not_fit_their_places_are_written_all_the_same() -> None:
    assert line_of("%d of %d", "one")["msg"] == "%d of %d"


def test_of_an_exception_its_kind_and_place_are_told_and_not_its_words() -> None:
    try:
        raise ValueError(CANARY)
    except ValueError:
        line = line_of("it failed", exc_info=sys.exc_info())
    assert line["exception"] == "ValueError"
    assert "test_logs.py" in line["trace"][0]
    assert CANARY not in json.dumps(line)


async def test_what_asyncio_shows_of_a_fault_that_nobody_took_is_left_out(
    caplog: pytest.LogCaptureFixture,
) -> None:
    loop = asyncio.get_running_loop()
    loop.default_exception_handler(
        {"message": "nobody took it", "exception": ValueError(CANARY), "x": CANARY}
    )
    (record,) = (record for record in caplog.records if record.name == "asyncio")
    assert CANARY in record.getMessage()
    text = JsonLines().format(record)
    assert json.loads(text)["msg"] == "nobody took it"
    assert CANARY not in text


def test_of_what_a_library_says_the_first_line_is_told() -> None:
    said = (
        f'duplicate key value violates unique constraint "x"\nDETAIL:  Key (email)=({CANARY}) already exists.'
    )
    assert CANARY not in line_of(said, name="psycopg")["msg"]
    assert CANARY in line_of(said, name="usersd.x")["msg"]


async def test_a_fault_in_a_request_is_logged_with_its_id_and_what_is_apart_from_requests_is_not(
    client: Client, written: StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    headers = await client.as_user((await client.register())["email"])
    logging.getLogger("usersd.scheduler").info("by itself")
    monkeypatch.setattr(client.service.bus.ports.directory, "find", None)
    ids = [f"req-{number}" for number in range(5)]
    await asyncio.gather(
        *(client.http.get("/users/profile", headers=headers | {"X-Request-ID": one}) for one in ids)
    )
    lines = [json.loads(line) for line in written.getvalue().splitlines()]
    faults = [line for line in lines if line["logger"] == "usersd.http" and line["level"] == "ERROR"]
    assert sorted(line["request_id"] for line in faults) == ids
    assert all(line["request_id"] in line["msg"] for line in faults)
    commands = [line["request_id"] for line in lines if line["logger"] == "usersd.bus"]
    assert set(ids) <= set(commands)
    assert "request_id" not in next(line for line in lines if line["msg"] == "by itself")


async def test_the_line_of_a_request_says_which_process_answered() -> None:
    kept: list[bytes] = []
    access_log = AccessLog(kept.append, {"role": "api", "instance_id": 'a"b'})
    access_log.add("GET", "/users", 200, 0.001, "req-1")
    access_log.flush()
    line = json.loads(kept[0])
    assert (line["role"], line["instance_id"], line["request_id"]) == ("api", 'a"b', "req-1")


PROGRAM = f"""
import logging, threading, warnings
from infrastructure.logs import configure
configure("warn", of={{"role": "relay", "instance_id": "seven"}})
logging.getLogger("usersd.x").info("too little")
logging.getLogger("grpc").info("too little")
logging.getLogger("apscheduler.x").warning("of a library")
warnings.warn("of Python\\n{CANARY}")
def fall(): raise ValueError("{CANARY}")
thread = threading.Thread(target=fall); thread.start(); thread.join()
fall()
"""


def test_warnings_and_what_ends_a_process_are_lines_as_all_others() -> None:
    ended = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == ""
    lines = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [line["level"] for line in lines] == ["WARN", "WARN", "ERROR", "ERROR"]
    assert [line["logger"] for line in lines] == ["apscheduler.x", "py.warnings", "usersd", "usersd"]
    assert all((line["role"], line["instance_id"]) == ("relay", "seven") for line in lines)
    assert lines[2]["exception"] == lines[3]["exception"] == "ValueError"
    assert CANARY not in ended.stdout
