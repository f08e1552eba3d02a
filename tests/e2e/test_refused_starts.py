"""A start that cannot succeed: one line that says what to do, the right exit code, and nothing changed."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from psycopg.sql import SQL, Identifier

from infrastructure.commandline import main
from infrastructure.embedded import start
from infrastructure.mendable import plainly
from infrastructure.standing import TakesNoWrites, prepare, wait_until_prepared
from interfaces.cli.output import FAILURE, USAGE
from interfaces.cli.tools import CommandFailed
from tests.projections.commanding import settings
from tests.support.databases import Databases, standing
from tests.support.program import program
from tests.support.servers import throw_away_folder

GUARDED, PASSWORD, WRONG = "usersd_guarded", "rings twice", "rings once"
EMPTY = "usersd_test_refused"


@pytest.fixture(scope="module")
def superuser(databases: Databases) -> Iterator[str]:
    """A superuser of a server that knows a user with a password, who may create nothing."""
    conninfo = make_conninfo(databases.server, user="postgres", dbname="postgres")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute("SHOW hba_file").fetchone()
        assert row is not None
        rules = Path(row[0])
        before = rules.read_text()
        connection.execute(f"CREATE ROLE {GUARDED} LOGIN PASSWORD '{PASSWORD}'".encode())
        rules.write_text(f"local all {GUARDED} scram-sha-256\n{before}")
        connection.execute("SELECT pg_reload_conf()")
        yield conninfo
        rules.write_text(before)
        connection.execute("SELECT pg_reload_conf()")
        connection.execute(f"DROP ROLE {GUARDED}".encode())


@pytest.fixture
def empty(superuser: str) -> Iterator[str]:
    """A database without a single table."""
    name = Identifier(EMPTY)
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(SQL("CREATE DATABASE {} OWNER usersd").format(name))
        yield make_conninfo(superuser, dbname=EMPTY, user="usersd")
        connection.execute(SQL("DROP DATABASE {} WITH (FORCE)").format(name))


class Fault(msgspec.Struct, frozen=True):
    """What is wrong, and what is told of it."""

    code: int
    words: tuple[str, ...]
    environ: dict[str, str] = {}
    statement: str = ""


FAULTS = {
    "a wrong password": Fault(
        1,
        ("password authentication failed", "MG_USERS_DB_PASS"),
        {"MG_USERS_DB_USER": GUARDED, "MG_USERS_DB_PASS": WRONG},
    ),
    "a user who does not exist": Fault(
        1, ('role "nobody_here" does not exist', "MG_USERS_DB_USER"), {"MG_USERS_DB_USER": "nobody_here"}
    ),
    "a database that does not exist": Fault(
        1, ('database "nowhere" does not exist', "MG_USERS_DB_NAME"), {"MG_USERS_DB_NAME": "nowhere"}
    ),
    "a server that is not there": Fault(
        75,
        ("Connection refused", "Is PostgreSQL up there?", "MG_USERS_DB_HOST and MG_USERS_DB_PORT"),
        {"MG_USERS_DB_HOST": "127.0.0.1", "MG_USERS_DB_PORT": "1"},
    ),
    "a user who may create nothing": Fault(
        1,
        ("permission denied for schema public", "owner of the database"),
        {"MG_USERS_DB_USER": GUARDED, "MG_USERS_DB_PASS": PASSWORD},
    ),
    "a read-only database": Fault(
        75,
        ("takes no writes", "default_transaction_read_only"),
        statement=f"ALTER DATABASE {EMPTY} SET default_transaction_read_only = on",
    ),
    "the database of another program": Fault(
        1, ("belongs to another program: it holds events, orders", "MG_USERS_DB_NAME"),
        statement="CREATE TABLE events (title text); CREATE TABLE orders (id int)",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", list(FAULTS))
def test_what_the_database_refuses_is_told_in_one_line(
    empty: str, what: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    fault = FAULTS[what]
    if fault.statement:
        with psycopg.connect(empty, autocommit=True) as connection:
            connection.execute(fault.statement.encode())
    before = _relations(empty)
    for name in [name for name in os.environ if name.startswith(("MG_", "MF_"))]:
        monkeypatch.delenv(name)
    environ = {"MG_USERS_DATA_DIR": str(tmp_path), "MG_USERS_DB_PASS": "xxxx"} | settings(empty)
    for name, value in (environ | fault.environ).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["usersd", "migrate"])
    with pytest.raises(SystemExit) as ended:
        main()
    told = capfd.readouterr()
    assert ended.value.code == fault.code, told
    (line,) = told.err.splitlines()
    assert all(word in line for word in fault.words), line
    assert WRONG not in line
    assert told.out == ""
    assert _relations(empty) == before


def test_a_server_without_tls_where_it_is_required_is_a_matter_of_settings() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()
        answering = threading.Thread(target=_answer_without_tls, args=(server,))
        answering.start()
        address = f"host=127.0.0.1 port={server.getsockname()[1]} sslmode=require gssencmode=disable"
        words = r"does not support SSL.*MG_USERS_DB_SSL_MODE"
        with pytest.raises(CommandFailed, match=words) as refused, plainly():
            psycopg.connect(address)
        answering.join()
    assert refused.value.code == FAILURE


def _answer_without_tls(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.recv(8)
        connection.sendall(b"N")


def test_a_start_that_is_refused_tells_what_was_set_aside_and_what_is_misspelt(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in [name for name in os.environ if name.startswith(("MG_", "MF_"))]:
        monkeypatch.delenv(name)
    for name, value in {
        "MG_USERS_ES_URL": "amqp://broker",
        "MG_USERS_DB_HOTS": "db",
        "MG_USERS_HTTP_PORT": "many",
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(sys, "argv", ["usersd", "relay"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == USAGE
    told = capfd.readouterr().err.splitlines()
    warnings = [line for line in told if line.startswith("warning: ")]
    assert told[: len(warnings)] == warnings, "what is wrong stands last"
    assert any("MG_USERS_ES_URL=amqp://… is set aside" in line for line in warnings)
    assert any("MG_USERS_DB_HOTS is unknown" in line for line in warnings)
    assert any("MG_USERS_HTTP_PORT=many" in line for line in told[len(warnings) :])


def test_a_role_without_an_api_tells_of_its_own_port_that_it_is_taken(database: str) -> None:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        taken = str(holder.getsockname()[1])
        with program(**settings(database), MG_USERS_OPERATIONS_PORT=taken) as usersd:
            refused = usersd.cli("projector")
    assert refused.code == 1, refused
    (line,) = refused.err.splitlines()
    assert "Cannot listen on" in line
    assert "MG_USERS_OPERATIONS_PORT" in line


def test_a_standby_is_not_taken_for_the_primary() -> None:
    with throw_away_folder() as folder:
        data = folder / "data"
        with start(data, nats=False, durable=False):
            pass
        # From now on it recovers, and waits for a log that nobody sends.
        signal = data / "pg" / "standby.signal"
        signal.touch()
        signal.chmod(0o644)
        with start(data, nats=False, durable=False) as servers:
            assert servers.postgres is not None
            for begin in (prepare, lambda ground: wait_until_prepared(ground, lambda line: None)):
                with pytest.raises(TakesNoWrites, match="is a standby and takes no writes"):
                    begin(standing(servers.postgres))


def _relations(conninfo: str) -> list[tuple[object, ...]]:
    superuser = make_conninfo(conninfo, user="postgres")
    with psycopg.connect(superuser) as connection:
        return connection.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace ORDER BY 1"
        ).fetchall()
