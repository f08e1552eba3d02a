"""The servers run as a lesser user where they must, and nobody else on the machine gets in."""

import json
import os
import pwd
import shutil
import socket
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from infrastructure.embedded import EmbeddedError, binaries, identity, start
from infrastructure.embedded.identity import Account
from tests.embedded.conftest import Launcher
from tests.embedded.running_app import ROOT, Launch, run, status

_NOBODY = pwd.getpwnam("nobody")


def needs_root() -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can change to another user")


@pytest.fixture
def as_nobody(disk: Path, monkeypatch: pytest.MonkeyPatch) -> Launch:
    """Everything a user without any rights needs to start a stand-in."""
    needs_root()
    nobody = Account("nobody", _NOBODY.pw_uid, _NOBODY.pw_gid)
    monkeypatch.setattr(binaries, "_COPIES", disk)
    root = disk / "code"
    for package in ("infrastructure/embedded", "tests/embedded"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / package / ".." / "__init__.py", root / package / "..")
    subprocess.run(["chmod", "-R", "u=rwX,go=rX", str(root)], check=True)
    return Launch(
        python=_python_for(nobody), root=root, uid=nobody.uid, gid=nobody.gid,
        options={
            "postgres_programs": str(binaries.postgres_programs(nobody)),
            "nats_program": str(binaries.nats_program(nobody)),
        },
    )  # fmt: skip


def _python_for(account: Account) -> str:
    check = "import sys; sys.exit(sys.version_info < (3, 11))"
    for python in (sys.executable, "/usr/local/bin/python3", "/usr/bin/python3"):
        try:
            answer = subprocess.run(
                [python, "-I", "-c", check], cwd="/", user=account.uid, group=account.gid, check=False,
                capture_output=True,
            )  # fmt: skip
        except OSError:
            continue
        if answer.returncode == 0:
            return python
    pytest.skip(f"no Python >= 3.11 that the user {account.name} can run")


def test_a_normal_user_starts_the_servers_as_themselves(
    home: Path, launch: Launcher, as_nobody: Launch
) -> None:
    folder = home / "data"
    folder.mkdir(mode=0o700)
    os.chown(folder, _NOBODY.pw_uid, _NOBODY.pw_gid)
    app = launch(folder, as_nobody)
    run(app.postgres, "CREATE TABLE kept AS SELECT 42 AS n")
    assert _users_of(folder) == {_NOBODY.pw_uid}
    app.kill()
    again = launch(folder, as_nobody)
    assert run(again.postgres, "SELECT n FROM kept") == [(42,)]
    again.close()
    assert again.process.returncode == 0


def test_another_users_folder_is_refused_by_name(data_dir: Path, launch: Launcher, as_nobody: Launch) -> None:
    start(data_dir, postgres=False, nats=False).close()
    answer = launch(data_dir, as_nobody).answer()
    assert answer["refused"] == "EmbeddedError"
    assert "belongs to another user" in answer["message"]


def test_root_hands_the_servers_to_a_lesser_user_without_root_group(data_dir: Path) -> None:
    needs_root()
    with start(data_dir):
        assert _users_of(data_dir) == {(data_dir / "pg").stat().st_uid}
        assert 0 not in _users_of(data_dir)
        for entry in status(data_dir).values():
            groups = _status_line(entry["pid"], "Gid") | _status_line(entry["pid"], "Groups")
            assert 0 not in groups


def test_root_falls_back_to_nobody_where_there_is_no_postgres(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    needs_root()
    monkeypatch.setattr(identity, "_LESSER_USERS", ("no-such-user", "nobody"))
    for _ in range(2):
        with start(home / "data", durable=False):
            assert _users_of(home / "data") == {_NOBODY.pw_uid}
        # An existing folder keeps its user, even where a better one appears later.
        monkeypatch.undo()


def test_under_root_a_closed_parent_is_refused_and_not_opened(home: Path) -> None:
    needs_root()
    closed = home / "closed"
    closed.mkdir(mode=0o700)
    with pytest.raises(EmbeddedError) as refusal:
        start(closed / "data")
    assert f"{closed} is closed to it" in str(refusal.value)
    assert stat.S_IMODE(closed.stat().st_mode) == 0o700


def test_programs_out_of_reach_are_copied_once_and_mended_when_incomplete(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_COPIES", disk)
    monkeypatch.setattr(Account, "can_use", lambda *_: False)
    account = Account("nobody", *((_NOBODY.pw_uid, _NOBODY.pw_gid) if os.geteuid() == 0 else (None, None)))
    programs, broker = binaries.postgres_programs(account), binaries.nats_program(account)
    assert disk in programs.parents
    made = (programs / "postgres").stat().st_ino, broker.stat().st_ino
    for program in (programs / "postgres", programs / "initdb", broker):
        said = subprocess.run(
            [program, "--version"], user=account.uid, group=account.gid, extra_groups=account.extra_groups,
            cwd="/", capture_output=True, check=True,
        )  # fmt: skip
        assert b"18.6" in said.stdout or b"2.15.1" in said.stdout

    assert binaries.postgres_programs(account) == programs
    assert ((programs / "postgres").stat().st_ino, binaries.nats_program(account).stat().st_ino) == made

    (programs / "initdb").unlink()
    assert (binaries.postgres_programs(account) / "initdb").is_file()
    assert not list(disk.glob("*/.*"))


def test_a_folder_of_copies_that_others_can_write_to_is_refused(
    disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "_COPIES", disk)
    monkeypatch.setattr(Account, "can_use", lambda *_: False)
    base = disk / f"usersd-{os.geteuid()}"
    base.mkdir()
    base.chmod(0o777)
    with pytest.raises(EmbeddedError, match="only this user can write"):
        binaries.nats_program(Account("nobody"))


def test_nothing_listens_beyond_loopback(data_dir: Path) -> None:
    if not Path("/proc/net/tcp").exists():
        pytest.skip("the system does not list its sockets in /proc/net")
    with start(data_dir):
        sockets = {inode for entry in status(data_dir).values() for inode in _socket_inodes(entry["pid"])}
        assert sockets
        assert {address for inode, address in _listeners() if inode in sockets} == {"0100007F"}


def test_the_broker_lets_nobody_in_without_the_password(data_dir: Path) -> None:
    with start(data_dir, postgres=False) as servers:
        assert servers.nats
        password = servers.nats.split(":")[2].split("@")[0]
        assert b"PONG" in _knock(servers.nats, {"user": "usersd", "pass": password})
        for wrong in ({}, {"user": "usersd", "pass": "usersd"}):
            assert b"Authorization Violation" in _knock(servers.nats, wrong)


def test_files_with_secrets_and_the_sockets_folder_are_private(data_dir: Path) -> None:
    with start(data_dir):
        files = [path for path in data_dir.iterdir() if path.is_file()]
        assert {path.name for path in files} >= {"lock", "endpoints.json", "nats.json", "nats.conf"}
        assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
        folders = [data_dir / name for name in ("socket", "pg", "nats")]
        assert {stat.S_IMODE(path.stat().st_mode) for path in folders} == {0o700}


def test_the_password_is_on_no_command_line(data_dir: Path) -> None:
    with start(data_dir) as servers:
        assert servers.nats
        password = servers.nats.split(":")[2].split("@")[0]
        shown = subprocess.run(["ps", "axwwo", "args="], capture_output=True, text=True, check=True).stdout
        assert "nats-server" in shown
        assert password not in shown


def test_a_folder_in_the_sockets_place_that_is_not_ours_is_not_used(home: Path) -> None:
    folder = home / ("d" * 120)
    folder.mkdir(mode=0o711)
    folder.chmod(0o711)
    planted = Path(tempfile.mkdtemp(prefix="usersd-"))
    try:
        planted.chmod(0o777)
        (folder / "socket.path").write_text(f"{planted}\n")
        with start(folder, durable=False, nats=False) as servers:
            assert servers.postgres
            assert str(planted) not in servers.postgres
    finally:
        planted.rmdir()


def _knock(url: str, credentials: dict[str, str]) -> bytes:
    """What the broker says to a client, after its own introduction."""
    port = int(url.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client, client.makefile("rb") as said:
        said.readline()
        client.sendall(f"CONNECT {json.dumps(credentials | {'verbose': False})}\r\nPING\r\n".encode())
        return bytes(said.readline())


def _users_of(data_dir: Path) -> set[int]:
    return {user for entry in status(data_dir).values() for user in _user_of(entry["pid"])}


def _user_of(pid: int) -> set[int]:
    shown = subprocess.run(["ps", "-o", "uid=", "-p", str(pid)], capture_output=True, text=True, check=True)
    return {int(shown.stdout)}


def _status_line(pid: int, name: str) -> set[int]:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return {int(value) for line in lines if line.startswith(f"{name}:") for value in line.split()[1:]}


def _socket_inodes(pid: int) -> set[str]:
    found = set()
    for descriptor in Path(f"/proc/{pid}/fd").iterdir():
        target = os.readlink(descriptor)
        if target.startswith("socket:["):
            found.add(target[8:-1])
    return found


def _listeners() -> list[tuple[str, str]]:
    """The inode and address of every listening TCP socket."""
    rows = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return [(row[9], row[1].rpartition(":")[0]) for row in rows if row[3] == "0A"]
