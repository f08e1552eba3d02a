"""The image: its steps are run as they are written, and what they make is started and asked how it is."""

from __future__ import annotations

import re
import socket
import stat
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from infrastructure.roles import OPERATIONS_PORTS, Role
from tests.architecture.sources import ROOT, named
from tests.deployment.conftest import sent
from tests.deployment.dockerfile import Builder, Image, parse
from tests.support.waiting import at_last

PATIENCE = 60.0
STAGES = parse((ROOT / "Dockerfile").read_text())
FINAL = STAGES[-1]
NOBODY = FINAL.last("USER").rest.split(":")[0]
CONFINED = [
    # A Python that stands in for the base may lie where only root can look: to look, and no more, is left.
    *("setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups", "--no-new-privs"),
    *(
        "--inh-caps",
        "-all,+dac_read_search",
        "--ambient-caps",
        "+dac_read_search",
        "--bounding-set",
        "-all,+dac_read_search",
    ),
    *(str(Path(sys.executable).resolve()), "-c"),
    # PR_SET_MDWE: no memory that is both written and executed. Kernels before 6.3 know no such thing.
    "import ctypes, os, sys; ctypes.CDLL(None).prctl(65, 1, 0, 0, 0); os.execv(sys.argv[1], sys.argv[1:])",
]
COMMIT = {"USERSD_COMMIT": "4746140c", "USERSD_BUILD_TIME": "2026-11-22T07:00:00Z"}


def test_hadolint_finds_nothing_in_the_dockerfile() -> None:
    linted = subprocess.run(
        [Path(sys.executable).with_name("hadolint"), "--failure-threshold", "info", ROOT / "Dockerfile"],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert linted.returncode == 0, linted.stdout


def test_the_builder_is_sent_the_sources_and_nothing_else() -> None:
    names = {named(path) for path in sent()}
    assert {
        "infrastructure/entry.py",
        "requirements/runtime.txt",
        "interfaces/grpc/protos/users/v1/users.proto",
    } <= names
    assert not [name for name in names if name.split("/")[0] in ("tests", "bench", "docs", "deploy", ".git")]


def test_the_service_runs_as_nobody_and_ends_by_the_signal_that_it_heeds() -> None:
    assert FINAL.last("USER").rest == "10001:10001"
    assert FINAL.last("STOPSIGNAL").rest == "SIGTERM"
    assert FINAL.last("ENTRYPOINT").words == ["usersd"]
    assert FINAL.last("CMD").words == ["run"]


def test_the_ports_that_it_shows_are_those_that_its_roles_listen_on() -> None:
    exposed = {int(port) for port in FINAL.last("EXPOSE").words}
    assert exposed == {9002, 7001, 7002, *OPERATIONS_PORTS.values()}


def test_the_base_is_named_by_a_version_of_python_that_is_supported() -> None:
    (base,) = [step.rest.partition("=")[2] for step in STAGES[0].steps]
    assert (version := re.fullmatch(r"python:(3\.\d+)(\.\d+)?-slim-\w+", base))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert f"Programming Language :: Python :: {version[1]}" in project["classifiers"]


@pytest.mark.system
def test_what_the_steps_make_serves_and_is_healthy(quick_builder: Builder, outside: dict[str, str]) -> None:
    image = quick_builder.build(STAGES, **COMMIT)
    assert not (image.root / "src").exists()
    port = _free_port()
    outside |= {"MG_USERS_HTTP_PORT": port, "MG_USERS_OPERATIONS_PORT": _free_port()}
    assert _ended(image, image.health_check(), outside) == 1
    assert _ended(image, image.command("migrate"), outside) == 0
    with _running(image, image.command(), outside) as process:
        at_last(lambda: _ended(image, image.health_check(), outside) == 0 or process.poll(), PATIENCE)
        told = httpx.get(f"http://127.0.0.1:{port}/health", trust_env=False).json()
        assert (told["commit"], told["build_time"]) == tuple(COMMIT.values())
        process.terminate()
        assert process.wait(PATIENCE) == 0


@pytest.mark.system
@pytest.mark.timeout(900)
def test_every_role_runs_from_the_hashed_packages_as_a_user_who_may_write_nothing_else(
    builder: Builder, outside: dict[str, str]
) -> None:
    image = builder.build(STAGES, **COMMIT)
    assert not (image.root / "opt" / "build").exists()
    assert not list((image.root / "opt" / "usersd" / "bin").glob("pip*"))
    assert not [path for path in image.root.rglob("*") if _may_be_written(path)]
    assert _ended(image, image.command("migrate"), outside) == 0
    for role in Role:
        settings = outside | {"MG_USERS_HTTP_PORT": _free_port(), "MG_USERS_OPERATIONS_PORT": _free_port()}
        if role not in (Role.RUN, Role.SWEEPER):
            # Nobody else is given a folder to write to.
            settings |= {"MG_USERS_DATA_DIR": str(image.root / "opt"), "MG_EMAIL_HOST": "127.0.0.1"}
        with _running(image, [*CONFINED, *image.command(role)], settings) as process:
            check = [*image.health_check(), role]
            at_last(lambda: _ended(image, check, settings) == 0 or process.poll(), PATIENCE)  # noqa: B023
            process.terminate()
            assert process.wait(PATIENCE) == 0, role


def _may_be_written(path: Path) -> bool:
    found = path.lstat()
    own = "var/lib/usersd" in str(path)
    return not own and not path.is_symlink() and (found.st_uid == 10001 or bool(found.st_mode & stat.S_IWOTH))


def _free_port() -> str:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def _ended(image: Image, command: Sequence[str], settings: dict[str, str]) -> int:
    with _running(image, command, settings) as process:
        return process.wait(PATIENCE)


@contextmanager
def _running(
    image: Image, command: Sequence[str], settings: dict[str, str]
) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command, env=image.environ(**settings), cwd=image.root / "var/lib/usersd", stdin=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.wait()
