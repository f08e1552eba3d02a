"""The systemd units: confined, given settings that there are, and taken by systemd itself."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections import defaultdict
from collections.abc import Callable
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
    roles = [role.value for role in Role if role is not Role.RUN] if "@" in name else [_command(unit)]
    for role in roles:
        given_too = _settings(_of_role(name, role)["Environment"])
        environ |= {key: value.replace("%d", str(secrets)) for key, value in given_too.items()}
        loaded = load(environ, role=role)
        assert not loaded.warnings
        assert loaded.settings.trusted_proxies
        if name in LONG_RUNNING:
            patience = int(unit["TimeoutStopSec"][0])
            assert patience >= loaded.settings.shutdown_timeout.total_seconds() + 5


@EACH
def test_it_runs_a_command_that_there_is(name: str) -> None:
    program, command = _read(name)["ExecStart"][0].split()
    assert program == "/opt/usersd/bin/usersd"
    assert command in {"run", "migrate", "%i"}


@EACH
def test_it_is_tried_until_the_database_is_back_unless_a_person_has_to_mend_something(name: str) -> None:
    unit = _read(name)
    assert unit["Restart"] == ["on-failure"]
    # Without a limit of starts it is never given up, however long the database is away.
    assert unit["StartLimitIntervalSec"] == ["0"]
    assert int(unit["RestartSec"][0]) >= 5
    assert unit["RestartPreventExitStatus"] == [f"{USAGE} {DIVERGED}"]


def test_all_of_them_share_one_user_and_one_folder_and_are_confined_alike() -> None:
    kept = ("DynamicUser", "User", "StateDirectory", "ProtectSystem", "NoNewPrivileges", "SystemCallFilter",
            "CapabilityBoundingSet", "LoadCredential", "Environment")  # fmt: skip
    found = {
        tuple((key, tuple(line for line in unit[key] if "admin_password" not in line)) for key in kept)
        for unit in map(_read, NAMES)
    }
    assert len(found) == 1
    unit = _read(NAMES[0])
    assert (unit["DynamicUser"], unit["User"], unit["StateDirectory"]) == (["yes"], ["usersd"], ["usersd"])
    assert unit["ProtectSystem"] == ["strict"]
    assert unit["NoNewPrivileges"] == ["yes"]
    assert unit["CapabilityBoundingSet"] == [""]


def test_only_who_makes_the_first_admin_is_shown_the_password() -> None:
    shown = {name for name in NAMES if "admin_password" in (UNITS / name).read_text()}
    assert shown == {"usersd.service"}
    assert [path.name for path in UNITS.glob("*.d")] == ["usersd@api.service.d"]
    (line,) = _of_role("usersd@.service", "api")["LoadCredential"]
    assert line in _read("usersd.service")["LoadCredential"]


@pytest.fixture
def told(tmp_path: Path, secrets: Path) -> Callable[..., list[str]]:
    """What `usersd-ctl` has systemd execute, and how, on a machine that has the secrets."""
    script, stub = tmp_path / "usersd-ctl", tmp_path / "systemd-run"
    script.write_text((UNITS / "usersd-ctl").read_text().replace("/etc/usersd/secrets", str(secrets)))
    stub.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\n")
    stub.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}

    def run(*arguments: str) -> list[str]:
        done = subprocess.run(
            ["sh", script, *arguments], check=True, capture_output=True, env=environ, text=True
        )
        return done.stdout.replace(str(secrets), "/etc/usersd/secrets").split("\0")[:-1]

    return run


def test_a_command_has_what_the_service_has(told: Callable[..., list[str]]) -> None:
    properties: dict[str, list[str]] = defaultdict(list)
    for word in told("projections", "status"):
        if word.startswith("--property="):
            key, _, value = word.removeprefix("--property=").partition("=")
            properties[key].append(value.replace("/var/lib/", "%S/"))
    unit = _read("usersd.service")
    assert {"User", "DynamicUser", "StateDirectory", "EnvironmentFile", "LoadCredential"} <= properties.keys()
    assert properties == {key: unit[key] for key in properties}


def test_where_no_api_is_a_command_does_without_the_password_of_the_first_admin(
    told: Callable[..., list[str]], secrets: Path
) -> None:
    aside = (secrets / "admin_password").rename(secrets / "aside")
    try:
        words = told("projections", "status")
    finally:
        aside.rename(secrets / "admin_password")
    assert not [word for word in words if word.startswith("--property=LoadCredential=admin")]
    assert "--property=LoadCredential=es_url:/etc/usersd/secrets/es_url" in words


@pytest.mark.parametrize("role", ["command", "run"])
def test_a_command_is_told_where_its_secrets_lie_and_gets_its_arguments_whole(
    role: str, told: Callable[..., list[str]], secrets: Path, tmp_path: Path
) -> None:
    arguments = ["users", "create", "two words", "$HOME", "${HOME} $$", "it's", ""]
    words = told(*arguments)
    # As systemd takes it.
    command = [word.replace("$$", "$") for word in words[words.index("--") + 1 :]]
    program = tmp_path / "usersd"
    program.write_text("#!/bin/sh\nprintf '%s\\0' \"$@\"\nenv -0\n")
    program.chmod(0o755)
    done = subprocess.run(
        [word.replace("/opt/usersd/bin/usersd", str(program)) for word in command],
        check=True,
        capture_output=True,
        text=True,
        env={"CREDENTIALS_DIRECTORY": str(secrets), "PATH": os.environ["PATH"]},
    )
    found = done.stdout.split("\0")
    assert found[: len(arguments)] == arguments
    environ = _settings(found[len(arguments) :])
    environ |= _settings((UNITS / "usersd.env").read_text().splitlines())
    # `usersd config check` asks as `usersd run` does.
    loaded = load(environ, role=role)
    assert loaded.settings.data_dir == Path("/var/lib/usersd")
    assert loaded.settings.es_url


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


def _of_role(name: str, role: str) -> dict[str, list[str]]:
    """The drop-in of one role, empty where it has none."""
    found = list(UNITS.glob(f"{name.replace('@.', f'@{role}.')}.d/*.conf")) if "@" in name else []
    return _read(str(found[0].relative_to(UNITS))) if found else defaultdict(list)


def _command(unit: dict[str, list[str]]) -> str:
    return unit["ExecStart"][0].split()[1]


def _settings(pairs: object) -> dict[str, str]:
    assert hasattr(pairs, "__iter__")
    return dict(
        str(pair).split("=", 1) for pair in pairs if "=" in str(pair) and not str(pair).startswith("#")
    )
