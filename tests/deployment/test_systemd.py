"""The systemd units: confined, given settings that there are, and taken by systemd itself."""

from __future__ import annotations

import shutil
import subprocess
from collections import defaultdict
from pathlib import Path

import pytest

from infrastructure.roles import Role
from infrastructure.settings import load
from interfaces.cli.output import DIVERGED, USAGE
from tests.architecture.sources import ROOT

UNITS = ROOT / "deploy" / "systemd"
NAMES = sorted(path.name for path in UNITS.glob("*.service"))
LONG_RUNNING = [name for name in NAMES if name != "usersd-migrate.service"]
EACH = pytest.mark.parametrize("name", NAMES)


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("systemd") / "secrets"
    subprocess.run([ROOT / "deploy" / "make-secrets", folder, "127.0.0.1"], check=True, capture_output=True)
    return folder


@EACH
def test_it_starts_with_the_settings_and_secrets_that_it_is_given(name: str, secrets: Path) -> None:
    unit = _read(name)
    environ = _settings((UNITS / "usersd.env").read_text().splitlines())
    environ |= _settings(pair for line in unit["Environment"] for pair in line.split())
    given = {line.split(":")[0]: Path(line.split(":")[1]).name for line in unit["LoadCredential"]}
    for variable, value in environ.items():
        if value.startswith("%d/"):
            environ[variable] = str(secrets / given[value.removeprefix("%d/")])
    environ = {variable: value.replace("%S", "/var/lib") for variable, value in environ.items()}
    roles = [role.value for role in Role] if "@" in name else [_command(unit)]
    for role in roles:
        loaded = load(environ, role=role)
        assert not loaded.warnings
        if name in LONG_RUNNING:
            patience = int(unit["TimeoutStopSec"][0])
            assert patience >= loaded.settings.shutdown_timeout.total_seconds() + 5


@EACH
def test_it_runs_a_command_that_there_is(name: str) -> None:
    program, command = _read(name)["ExecStart"][0].split()
    assert program == "/opt/usersd/bin/usersd"
    assert command in {"run", "migrate", "%i"}


@pytest.mark.parametrize("name", LONG_RUNNING)
def test_what_a_person_has_to_mend_is_not_tried_for_ever(name: str) -> None:
    unit = _read(name)
    assert unit["Restart"] == ["on-failure"]
    assert unit["RestartPreventExitStatus"] == [f"{USAGE} {DIVERGED}"]


def test_all_of_them_share_one_user_and_one_folder_and_are_confined_alike() -> None:
    kept = ("DynamicUser", "User", "StateDirectory", "ProtectSystem", "NoNewPrivileges", "SystemCallFilter",
            "CapabilityBoundingSet", "LoadCredential", "Environment")  # fmt: skip
    found = {tuple((key, tuple(unit[key])) for key in kept) for unit in map(_read, NAMES)}
    assert len(found) == 1
    unit = _read(NAMES[0])
    assert (unit["DynamicUser"], unit["User"], unit["StateDirectory"]) == (["yes"], ["usersd"], ["usersd"])
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["NoNewPrivileges"] == ["yes"]
    assert unit["CapabilityBoundingSet"] == [""]


@pytest.mark.system
@EACH
def test_systemd_finds_nothing_wrong_and_little_exposed(name: str, tmp_path: Path) -> None:
    shutil.copytree(UNITS, tmp_path / "etc/systemd/system")
    for program in ("opt/usersd/bin/usersd", "bin/kill"):
        (tmp_path / program).parent.mkdir(parents=True)
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    instance = name.replace("@.", "@api.")
    _run("verify", f"--root={tmp_path}", "--recursive-errors=no", "--man=no", instance)
    # Tenths: of 100, with 100 the most exposed.
    _run("security", "--offline=true", f"--root={tmp_path}", "--threshold=20", instance)


def _run(*arguments: str) -> None:
    done = subprocess.run(["systemd-analyze", *arguments], check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert not done.stderr, done.stderr


def _read(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for line in (UNITS / name).read_text().splitlines():
        key, is_setting, value = line.partition("=")
        if is_setting and not line.startswith("#"):
            found[key].append(value)
    return found


def _command(unit: dict[str, list[str]]) -> str:
    return unit["ExecStart"][0].split()[1]


def _settings(pairs: object) -> dict[str, str]:
    assert hasattr(pairs, "__iter__")
    return dict(
        str(pair).split("=", 1) for pair in pairs if "=" in str(pair) and not str(pair).startswith("#")
    )
