"""The ordinary life of the embedded servers: first start, later starts, refusal, stop."""

import os
import shutil
import socket
import stat
from pathlib import Path

import psycopg
import pytest

from infrastructure.embedded import EmbeddedError, FolderInUse, running, start
from tests.embedded.conftest import Launcher
from tests.embedded.running_app import ROOT, alive, run, status


def test_a_first_start_creates_the_database_and_a_later_start_finds_its_data(home: Path) -> None:
    with start(home / "new" / "data", durable=False) as servers:
        assert servers.postgres
        assert servers.nats
        run(servers.postgres, "CREATE TABLE kept (n int)")
        run(servers.postgres, "INSERT INTO kept VALUES (42)")
        first = servers.nats

    with start(home / "new" / "data", durable=False) as servers:
        assert servers.postgres
        assert run(servers.postgres, "SELECT n FROM kept") == [(42,)]
        assert servers.nats == first


def test_the_service_owns_its_database_and_is_no_superuser(data_dir: Path) -> None:
    owner = "SELECT datname, pg_get_userbyid(datdba) FROM pg_database WHERE datname = current_database()"
    with start(data_dir, nats=False) as servers:
        assert servers.postgres
        assert run(servers.postgres, owner) == [("users", "usersd")]
        assert run(servers.postgres, "SELECT current_user, current_setting('is_superuser')") == [
            ("usersd", "off")
        ]


def test_text_sorts_by_code_point_and_is_folded_beyond_ascii(data_dir: Path) -> None:
    with start(data_dir, nats=False) as servers:
        assert servers.postgres
        assert run(servers.postgres, "SELECT 'Z' < 'a', lower('ÉTÉ')") == [(True, "été")]
        assert run(servers.postgres, "SHOW server_encoding") == [("UTF8",)]
        run(servers.postgres, "CREATE EXTENSION pg_trgm")
        assert run(servers.postgres, "SELECT similarity('élève', 'élèves') > 0.5") == [(True,)]


@pytest.mark.parametrize(("durable", "expected"), [(True, "on"), (False, "off")])
def test_a_commit_is_flushed_unless_the_folder_is_to_be_thrown_away(
    data_dir: Path, durable: bool, expected: str
) -> None:
    names = ("fsync", "full_page_writes")
    with start(data_dir, nats=False, durable=durable) as servers:
        assert servers.postgres
        assert [run(servers.postgres, f"SHOW {name}")[0][0] for name in names] == [expected] * 2
        assert run(servers.postgres, "SHOW synchronous_commit") == [("on",)]


def test_closing_stops_both_servers_and_a_second_close_does_nothing(data_dir: Path) -> None:
    servers = start(data_dir)
    pids = [entry["pid"] for entry in status(data_dir).values()]
    assert all(alive(pid) for pid in pids)
    servers.close()
    servers.close()
    assert not any(alive(pid) for pid in pids)
    assert "database system is shut down" in (data_dir / "postgres.log").read_text()


def test_a_second_start_is_refused_at_once_and_told_the_owner(data_dir: Path, launch: Launcher) -> None:
    owner = launch(data_dir)
    assert owner.owns
    with pytest.raises(FolderInUse) as refusal:
        start(data_dir, wait_for_lock=60)
    assert str(owner.process.pid) in str(refusal.value)
    assert str(data_dir) in str(refusal.value)


def test_of_several_cold_starts_exactly_one_owns_the_folder(home: Path, launch: Launcher) -> None:
    racers = [launch(home / "data") for _ in range(4)]
    owners = [racer for racer in racers if racer.owns]
    assert len(owners) == 1
    assert {racer.answer()["refused"] for racer in racers if racer not in owners} == {"FolderInUse"}
    assert run(owners[0].postgres, "SELECT 1") == [(1,)]


def test_what_a_live_owner_announces_can_be_read_by_others(data_dir: Path) -> None:
    assert running(data_dir) is None
    with start(data_dir) as servers:
        servers.announce(http="http://localhost:9002")
        servers.announce(grpc="localhost:7001")
        found = running(data_dir)
        assert found is not None
        assert (found.http, found.grpc, found.pid) == ("http://localhost:9002", "localhost:7001", os.getpid())
        assert (found.postgres, found.nats) == (servers.postgres, servers.nats)
        with pytest.raises(TypeError, match="htpp"):
            servers.announce(htpp="a slip of the finger")
    assert running(data_dir) is None
    assert not (data_dir / "endpoints.json").exists()


def test_a_folder_without_servers_still_has_one_owner(home: Path) -> None:
    with start(home / "data", postgres=False, nats=False) as servers:
        assert (servers.postgres, servers.nats) == (None, None)
        assert running(home / "data") is not None
        with pytest.raises(FolderInUse):
            start(home / "data", postgres=False, nats=False)
    assert running(home / "data") is None


def test_running_is_none_for_a_folder_that_does_not_exist(home: Path) -> None:
    assert running(home / "nowhere") is None
    assert not (home / "nowhere").exists()


@pytest.mark.parametrize("name", ["d" * 120, "a,b 'c'"])
def test_a_path_that_a_socket_cannot_have_gets_a_private_folder_that_is_remembered(
    home: Path, made_once: Path, name: str
) -> None:
    shutil.copytree(made_once, home / name)
    for path in [home / name, *(home / name).rglob("*")]:
        found = made_once / path.relative_to(home / name)
        os.chown(path, found.stat().st_uid, found.stat().st_gid)
    places = []
    for _ in range(2):
        with start(home / name) as servers:
            assert servers.postgres
            places.append(Path(servers.postgres.split(" ", 1)[0].removeprefix("host=")))
            assert run(servers.postgres, "SELECT 1") == [(1,)]
            assert stat.S_IMODE(places[-1].stat().st_mode) == 0o700
        assert not places[-1].exists()
    assert places[0] == places[1]
    assert home not in places[0].parents


def test_a_port_that_somebody_else_took_is_replaced_by_another(data_dir: Path) -> None:
    with start(data_dir, postgres=False) as servers:
        assert servers.nats
        port = int(servers.nats.rsplit(":", 1)[1])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with start(data_dir, postgres=False) as servers:
            assert servers.nats
            assert int(servers.nats.rsplit(":", 1)[1]) != port


def test_a_server_that_does_not_start_shows_the_end_of_its_log(data_dir: Path) -> None:
    with open(data_dir / "pg" / "postgresql.conf", "a") as settings:
        settings.write("max_connections = 'many'\n")
    with pytest.raises(EmbeddedError) as failure:
        start(data_dir)
    assert "PostgreSQL did not start" in str(failure.value)
    assert 'invalid value for parameter "max_connections": "many"' in str(failure.value)
    assert running(data_dir) is None


def test_another_versions_database_is_left_alone(data_dir: Path) -> None:
    (data_dir / "pg" / "PG_VERSION").write_text("17\n")
    with pytest.raises(EmbeddedError, match="made by PostgreSQL 17; this is PostgreSQL 18"):
        start(data_dir)


def test_a_folder_with_something_else_in_the_databases_place_is_left_alone(home: Path) -> None:
    (home / "data" / "pg").mkdir(parents=True)
    (home / "data").chmod(0o711)
    (home / "data" / "pg" / "thesis.txt").write_text("years of work")
    with pytest.raises(EmbeddedError, match="holds no PostgreSQL database"):
        start(home / "data")
    assert (home / "data" / "pg" / "thesis.txt").read_text() == "years of work"


def test_a_data_folder_that_is_a_file_is_refused(home: Path) -> None:
    (home / "data").write_text("not a folder")
    with pytest.raises(EmbeddedError, match="could not be started"):
        start(home / "data")


def test_the_database_cannot_be_reached_over_the_network(data_dir: Path) -> None:
    with start(data_dir, nats=False) as servers:
        assert servers.postgres
        assert run(servers.postgres, "SHOW listen_addresses") == [("",)]
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect("host=127.0.0.1 port=5432 dbname=users user=usersd", connect_timeout=2)


def test_the_nanny_needs_nothing_but_itself() -> None:
    source = (ROOT / "infrastructure" / "embedded" / "nanny.py").read_text()
    assert "import infrastructure" not in source
    assert "from infrastructure" not in source
